"""The reference of `spike_attention` against loops, and its gradients."""

from __future__ import annotations

import importlib
import itertools

import pytest
import torch

from spikeformer.ops import LifState
from spikeformer.ops.spike_attention import spike_attention
from tests.neurons import scalar
from tests.ops.spike_attention.cases import CASES, interleaved, state_shape

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
def test_reference_passes_gradcheck_with_a_smooth_spike(mechanism, causal, monkeypatch):
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
