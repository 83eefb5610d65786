"""The reference of `spike_attention` against loops, its arguments, and its place in torch."""

from __future__ import annotations

import importlib
import itertools

import pytest
import torch
from torch import nn

from spikeformer.error_handling import ArgumentError
from spikeformer.ops import LifState
from spikeformer.ops.spike_attention import spike_attention
from spikeformer.ops.spike_attention.operator import (
    spike_attention_backward_op,
    spike_attention_op,
)
from tests.neurons import scalar
from tests.ops.spike_attention.cases import CASES, interleaved, random_spikes, state_shape

cases = pytest.mark.parametrize(("mechanism", "causal"), CASES)


def current_of(spikes, mechanism, causal, scale, t, b, h, n, d):
    """What one neuron integrates at one timestep, by the definition."""
    query, key, *value = (x[b, t, :, h].tolist() for x in spikes)
    if mechanism == "qk_token":
        return sum(query[n])
    (value,) = value
    seen = range(n + 1 if causal else len(key))
    if mechanism == "sdsa":
        return sum(key[m][d] * value[m][d] for m in seen)
    pairs = (sum(a * b for a, b in zip(query[n], key[m], strict=True)) * value[m][d] for m in seen)
    return scale * sum(pairs)


@cases
@pytest.mark.parametrize("shape", [(2, 5, 4, 2, 3), (1, 3, 3, 1, 7)])
def test_reference_is_the_definition(mechanism, causal, shape):
    spikes = interleaved(mechanism, shape, dtype=torch.float64)
    out, state = spike_attention(
        *spikes, mechanism=mechanism, causal=causal, scale=0.5, decay=0.75, threshold=1.5
    )
    assert 0 < out.mean() < 1
    for b, h, n, d in itertools.product(*(range(shape[axis]) for axis in (0, 3, 2, 4))):
        currents = [
            current_of(spikes, mechanism, causal, 0.5, t, b, h, n, d) for t in range(shape[1])
        ]
        fired, membrane, _ = scalar.lif(currents, 0.75, 1.5)
        gated = {"ssa": None, "qk_token": spikes[1], "sdsa": spikes[0]}[mechanism]
        expected = torch.tensor(fired, dtype=torch.float64)
        expected = expected if gated is None else expected * gated[b, :, n, h, d]
        assert torch.equal(out[b, :, n, h, d], expected)
        where = (b, n if state.membrane.shape[1] > 1 else 0, h, d)
        assert state.membrane[where[: state.membrane.dim()]] == membrane


@cases
def test_gradcheck_with_a_smooth_spike(mechanism, causal, monkeypatch):
    smooth = lambda x, surrogate, slope: torch.sigmoid(4 * x)  # noqa: E731
    monkeypatch.setattr(importlib.import_module("spikeformer.ops.lif.reference"), "spike", smooth)
    spikes = [
        x.requires_grad_() for x in interleaved(mechanism, (1, 3, 3, 1, 2), dtype=torch.double)
    ]
    shape = state_shape(spikes[0], mechanism, causal)
    rest = [torch.rand(shape, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    decay = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)

    def run(decay, membrane, adaptation, *spikes):
        out, state = spike_attention(
            *spikes,
            state=LifState(membrane, adaptation),
            mechanism=mechanism,
            causal=causal,
            decay=decay,
            adaptation_decay=0.5,
            adaptation_strength=0.2,
        )
        return out, *state

    assert torch.autograd.gradcheck(run, (decay, *rest, *spikes))


@cases
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_two_halves_equal_the_whole(mechanism, causal, backend):
    spikes = interleaved(mechanism, (2, 7, 5, 2, 4))
    options = {"mechanism": mechanism, "causal": causal, "decay": 0.9, "backend": backend}
    whole, final = spike_attention(*spikes, **options)
    first, state = spike_attention(*(x[:, :3] for x in spikes), **options)
    second, last = spike_attention(*(x[:, 3:] for x in spikes), state=state, **options)
    assert torch.equal(torch.cat([first, second], dim=1), whole)
    assert torch.equal(last.membrane, final.membrane)
    assert last.adaptation is None


def test_counts_are_exact_in_half_precision():
    # 300 does not fit bfloat16: it would be rounded to a threshold that it does not reach.
    ones = torch.ones(1, 1, 301, 1, 1, dtype=torch.bfloat16)
    options = {"decay": 0.5, "threshold": 301.0, "scale": 1.0, "reset": "zero"}
    for mechanism, backend in itertools.product(("ssa", "sdsa"), ("reference", "cpu")):
        with torch.autocast("cpu", torch.bfloat16):
            out, state = spike_attention(
                ones, ones, ones, mechanism=mechanism, backend=backend, **options
            )
            fewer, _ = spike_attention(
                ones,
                ones[:, :, 1:],
                ones[:, :, 1:],
                mechanism=mechanism,
                backend=backend,
                **options,
            )
        assert (out.dtype, state.membrane.dtype) == (torch.bfloat16, torch.float32)
        assert (out.min(), fewer.max()) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mechanism": "softmax"}, "`mechanism`"),
        ({"query": torch.ones(1, 2, 3, 4)}, "`query`"),
        ({"query": torch.ones(1, 0, 3, 1, 4)}, "at least one"),
        ({"query": torch.ones(1, 2, 3, 1, 4, dtype=torch.long)}, "floating-point"),
        ({"key": torch.ones(1, 2, 3, 1, 5)}, "`key`"),
        ({"key": torch.ones(1, 2, 3, 1, 4).double()}, "`key`.*float32"),
        ({"key": torch.ones(1, 2, 4, 1, 4), "causal": True}, r"`key`.*\(1, 2, 3, 1, 4\)"),
        ({"key": torch.ones(1, 2, 4, 1, 4), "mechanism": "qk_token", "value": None}, "`key`"),
        ({"mechanism": "qk_token"}, "`value`.*None"),
        ({"value": None}, "`value`.*got None"),
        ({"value": torch.ones(1, 2, 4, 1, 4)}, "`value`"),
        ({"state": LifState(torch.ones(1, 3, 1))}, "`state.membrane`"),
        ({"reset": "soft"}, "`reset`"),
        ({"backend": "gpu"}, "`backend`"),
    ],
)
def test_bad_arguments(changes, message):
    ones = torch.ones(1, 2, 3, 1, 4)
    with pytest.raises(ArgumentError, match=message):
        spike_attention(**{"query": ones, "key": ones, "value": ones, "decay": 0.5} | changes)


def operator_arguments(mechanism, *, full):
    query, key, *value = (x.requires_grad_() for x in interleaved(mechanism, (2, 3, 4, 2, 3)))
    spikes = (query, key, value[0] if value else None)
    if not full:
        return *spikes, None, None, None, [0.9, 1.0, 0.7, 0.2]
    shape = state_shape(query, mechanism, False)
    states = [random_spikes(*shape, seed=seed).requires_grad_() for seed in (1, 2)]
    return *spikes, *states, torch.tensor([0.9, 1.0, 0.7, 0.2], requires_grad=True), []


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("mechanism", ["ssa", "qk_token", "sdsa"])
def test_operators_pass_opcheck(mechanism, full):
    arguments = operator_arguments(mechanism, full=full)
    options = ("subtract", False, "fast_sigmoid", 25.0, 0, "cpu", mechanism, 0.125, False)
    torch.library.opcheck(spike_attention_op, (*arguments, *options, True))
    constant = [x.detach() if isinstance(x, torch.Tensor) else x for x in arguments]
    out, membrane, adaptation, *bits = spike_attention_op(*constant, *options, True)
    bits = [x if given is not None else None for x, given in zip(bits, constant[:3], strict=True)]
    grads = (out, membrane, adaptation if full else None)
    torch.library.opcheck(spike_attention_backward_op, (*bits, *constant[3:], *options, *grads))


class Block(nn.Module):
    """A projection to interleaved spikes, and attention between them."""

    def __init__(self, mechanism):
        super().__init__()
        torch.manual_seed(0)
        self.mechanism = mechanism
        self.linear = nn.Linear(6, 18 if mechanism != "qk_token" else 12)
        self.decay = nn.Parameter(torch.tensor(0.9))

    def forward(self, x):
        spikes = torch.sigmoid(9 * self.linear(x)).unflatten(-1, (-1, 2, 3))
        spikes = spikes + (spikes.round() - spikes).detach()
        return spike_attention(
            *spikes.unbind(3), mechanism=self.mechanism, decay=self.decay, scale=0.5
        )[0]


def gradients(module, x):
    out = module(x)
    return out, torch.autograd.grad(out.square().sum(), list(module.parameters()))


# The whole network is compiled with inductor in the tests of `SpikingNetwork`.
@pytest.mark.parametrize("mechanism", ["ssa", "qk_token", "sdsa"])
def test_compiles_without_graph_breaks(mechanism):
    block, x = Block(mechanism), torch.randn(2, 5, 4, 6)
    expected, expected_grads = gradients(block, x)
    assert 0 < expected.mean() < 1
    compiled = torch.compile(block, fullgraph=True, backend="aot_eager")
    out, grads = gradients(compiled, x)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(grads, expected_grads, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mechanism", ["ssa", "qk_token", "sdsa"])
def test_exports_with_a_dynamic_batch(mechanism, tmp_path):
    block, x = Block(mechanism).eval(), torch.randn(2, 5, 4, 6)
    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(block, (x,), dynamic_shapes={"x": {0: batch}})
    assert "spikeformer.spike_attention.default" in str(program.graph)
    torch.export.save(program, tmp_path / "block.pt2")
    loaded = torch.export.load(tmp_path / "block.pt2").module()
    for size in (2, 5):
        x = torch.randn(size, 5, 4, 6)
        torch.testing.assert_close(loaded(x), block(x))
