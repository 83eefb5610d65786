"""Every mechanism against a loop over batch, heads, tokens and channels."""

from __future__ import annotations

import itertools
import math
from functools import partial

import pytest
import torch

from spikeformer.error_handling import ArgumentError, SpikingDynamicsError
from spikeformer.instrument import ActivityProbe
from spikeformer.models import (
    PooledSpikeDrivenAttention,
    QKTokenAttention,
    SpikeDrivenAttention,
    SpikingSelfAttention,
)
from spikeformer.models.mechanisms import zero_padding
from spikeformer.neurons import AdLifNeuron, IntegerLifNeuron, LifNeuron, ParametricLifNeuron
from tests.neurons import scalar

MECHANISMS = [QKTokenAttention, SpikeDrivenAttention, SpikingSelfAttention]
TAU, THRESHOLD = 2.0, 1.5
neuron = partial(LifNeuron, tau_mem=TAU)
fire = partial(scalar.lif, decay=math.exp(-1 / TAU), threshold=THRESHOLD)
causal_or_not = pytest.mark.parametrize("causal", [False, True])


def projections(n=5, d=3, count=3):
    shape = (2, 4, n, 2, d)
    return tuple((torch.rand(shape) < 0.5).double() for _ in range(count))


def cells(x):
    return itertools.product(range(x.shape[0]), range(x.shape[3]), range(x.shape[2]))


@causal_or_not
def test_qk_token(causal):
    query, key = projections(count=2)
    out = QKTokenAttention(neuron, THRESHOLD, causal=causal)((query, key))
    expected = torch.zeros_like(query)
    gates = []
    for b, h, n in cells(query):
        counts = [sum(channels) for channels in query[b, :, n, h].tolist()]
        gate, *_ = fire(counts)
        gates += gate
        for t, is_open in enumerate(gate):
            for d in range(query.shape[-1]):
                expected[b, t, n, h, d] = is_open * key[b, t, n, h, d]
    assert set(gates) == {0.0, 1.0}
    assert torch.equal(out, expected)


@causal_or_not
def test_sdsa(causal):
    query, key, value = projections()
    out = SpikeDrivenAttention(neuron, THRESHOLD, causal=causal)((query, key, value))
    expected = torch.zeros_like(query)
    gates = []
    steps, tokens, channels = query.shape[1], query.shape[2], query.shape[4]
    for b, h, n in cells(query):
        for d in range(channels):
            last = n if causal else tokens - 1
            counts = [
                sum((key[b, t, m, h, d] * value[b, t, m, h, d]).item() for m in range(last + 1))
                for t in range(steps)
            ]
            gate, *_ = fire(counts)
            gates += gate
            for t in range(steps):
                expected[b, t, n, h, d] = query[b, t, n, h, d] * gate[t]
    assert set(gates) == {0.0, 1.0}
    assert torch.equal(out, expected)


@causal_or_not
@pytest.mark.parametrize(("tokens", "channels"), [(5, 3), (3, 5), (4, 4)])
@pytest.mark.parametrize("scale", [0.125, 0.5])
def test_ssa(causal, tokens, channels, scale):
    query, key, value = projections(n=tokens, d=channels)
    mechanism = SpikingSelfAttention(neuron, 0.75, causal=causal, scale=scale)
    out = mechanism((query, key, value))
    expected = torch.zeros_like(query)
    for b, h, n in cells(query):
        last = n if causal else tokens - 1
        for d in range(channels):
            currents = []
            for t in range(query.shape[1]):
                total = 0.0
                for m in range(last + 1):
                    match = sum(
                        (query[b, t, n, h, c] * key[b, t, m, h, c]).item() for c in range(channels)
                    )
                    total += match * value[b, t, m, h, d].item()
                currents.append(scale * total)
            expected[b, :, n, h, d] = torch.tensor(
                scalar.lif(currents, math.exp(-1 / TAU), 0.75)[0], dtype=torch.float64
            )
    assert 0 < expected.mean() < 1
    assert torch.equal(out, expected)


def test_both_orders_of_ssa_are_equal():
    # 7 tokens of 3 channels take q (k^T v), 7 of 9 take (q k^T) v; on shared channels they agree.
    narrow = projections(n=7, d=3)
    empty = torch.zeros(2, 4, 7, 2, 6, dtype=torch.float64)
    wide = tuple(torch.cat([x, empty], dim=-1) for x in narrow)
    mechanism = SpikingSelfAttention(neuron, 0.75)
    first, second = mechanism(narrow), mechanism(wide)
    assert first.sum() > 0
    assert torch.equal(first, second[..., :3])


def test_ssa_scales_by_an_eighth():
    ones = torch.ones(1, 1, 2, 1, 4)
    # q k^T v = 4 * 2 = 8, and an eighth of it is exactly the threshold.
    assert SpikingSelfAttention(LifNeuron, 1.0)((ones, ones, ones)).min() == 1.0
    assert SpikingSelfAttention(LifNeuron, 1.01)((ones, ones, ones)).max() == 0.0


@pytest.mark.parametrize("kind", MECHANISMS)
@causal_or_not
def test_silent_padding_has_no_effect(kind, causal):
    parts = projections(count=kind.num_projections)
    mechanism = kind(neuron, THRESHOLD, causal=causal)
    expected = mechanism(parts)
    longer = tuple(torch.cat([x, torch.zeros_like(x)], dim=2) for x in parts)
    assert torch.equal(mechanism(longer)[:, :, :5], expected)


def run_with_gradients(mechanism, parts):
    """Output, and gradients of the projections and the neurons' parameters."""
    parts = tuple(x.float().requires_grad_() for x in parts)
    out = mechanism(parts)
    weights = torch.rand(out.shape, generator=torch.Generator().manual_seed(3))
    leaves = [*parts, *mechanism.parameters()]
    return out, *torch.autograd.grad((out * weights).sum(), leaves)


@pytest.mark.parametrize("make", [LifNeuron, AdLifNeuron, ParametricLifNeuron])
@pytest.mark.parametrize("kind", MECHANISMS)
@causal_or_not
def test_watched_and_unwatched_neurons_agree(kind, causal, make):
    mechanism = kind(partial(make, tau_mem=TAU), 0.75, causal=causal)
    parts = projections(count=kind.num_projections)
    fused = run_with_gradients(mechanism, parts)
    with ActivityProbe(mechanism) as probe:
        watched = run_with_gradients(mechanism, parts)
    assert 0 < probe.layers["neuron"].firing_rate.compute() < 1
    assert torch.equal(fused[0], watched[0])
    for a, b in zip(fused[1:], watched[1:], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", MECHANISMS)
def test_binary_neurons_are_not_called(kind, monkeypatch):
    mechanism = kind(neuron, THRESHOLD)
    parts = tuple(x.float() for x in projections(count=kind.num_projections))
    expected = mechanism(parts)
    monkeypatch.setattr(LifNeuron, "__call__", lambda *_, **__: pytest.fail("called"))
    assert torch.equal(mechanism(parts), expected)


@causal_or_not
def test_fractions_of_integer_neurons_keep_their_values(causal):
    query, key, value = (
        (torch.randint(0, 5, (2, 4, 5, 2, 3)) / 4).requires_grad_() for _ in range(3)
    )
    mechanism = SpikeDrivenAttention(IntegerLifNeuron, 0.5, causal=causal)
    match = torch.minimum(key, value)
    count = match.cumsum(2) if causal else match.sum(2, keepdim=True)
    expected = torch.minimum(query, mechanism.neuron(count).expand_as(query))
    out = mechanism((query, key, value))
    assert len(expected.unique()) > 3
    torch.testing.assert_close(out, expected)
    grads = [torch.autograd.grad(x.sum(), (query, key, value)) for x in (out, expected)]
    torch.testing.assert_close(*grads)


def test_zero_padding():
    x = torch.rand(2, 3, 4, 5) + 1
    mask = torch.tensor([[True, True, False, False], [True] * 4])
    y = zero_padding(x, mask)
    assert torch.equal(y[0, :, :2], x[0, :, :2])
    assert torch.equal(y[1], x[1])
    assert y[0, :, 2:].abs().sum() == 0
    assert zero_padding(x, None) is x


@pytest.mark.parametrize("grid", [(2, 3), (1, 4), (5, 2)])
def test_pooled_sdsa(grid):
    height, width = grid
    tokens = height * width
    torch.manual_seed(3)
    query, key, value = (
        (torch.rand(2, 4, tokens, 2, 3) < rate).double() for rate in (0.3, 0.08, 0.08)
    )
    layer = PooledSpikeDrivenAttention(neuron, THRESHOLD)
    layer.grid_size = grid
    out = layer((query, key, value))

    def around(x, rows, columns):
        """The maximum of 3x3 neighbours of (..., rows * columns)."""
        cells = x.reshape(*x.shape[:-1], rows, columns)
        pooled = torch.empty_like(cells)
        for i, j in itertools.product(range(rows), range(columns)):
            near = cells[..., max(0, i - 1) : i + 2, max(0, j - 1) : j + 2]
            pooled[..., i, j] = near.flatten(-2).max(-1).values
        return pooled.reshape(x.shape)

    def on_grid(x):
        return around(x.movedim(2, -1), height, width).movedim(-1, 2)

    def on_channels(x):
        flat = x.transpose(2, 3).flatten(3)  # tokens, then channels of a head
        return around(flat, tokens, 3).unflatten(3, (tokens, 3)).transpose(2, 3)

    counts = on_channels(on_grid(key) * on_grid(value)).sum(2)
    gate = torch.zeros_like(counts)
    for b, h, d in itertools.product(range(2), range(2), range(3)):
        gate[b, :, h, d] = torch.tensor(fire(counts[b, :, h, d].tolist())[0])
    assert 0 < gate.mean() < 1
    assert torch.equal(out, on_channels(query * gate.unsqueeze(2)))


def test_pooled_sdsa_needs_its_grid():
    with pytest.raises(ArgumentError, match="causal"):
        PooledSpikeDrivenAttention(neuron, causal=True)
    layer = PooledSpikeDrivenAttention(neuron)
    layer.grid_size = (2, 2)
    with pytest.raises(SpikingDynamicsError, match="2 x 2 tokens"):
        layer(projections(n=5))
