"""Spike attention between integer neurons: an AND of their unit spikes, step by step."""

from __future__ import annotations

import pytest
import torch

from spikeformer.neurons import unit_spikes
from spikeformer.ops import lif
from spikeformer.ops.spike_attention import attention_current, spike_attention
from tests.ops.spike_attention.cases import CASES, results

D = 4
cases = pytest.mark.parametrize(("mechanism", "causal"), CASES)
backends = pytest.mark.parametrize("backend", ["reference", "cpu", "triton"])


def fractions(mechanism, shape=(2, 3, 6, 2, 8), dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    count = 2 if mechanism == "qk_token" else 3
    return tuple(
        (torch.randint(-2, D + 1, shape, generator=generator).clamp(0) / D).to(dtype)
        for _ in range(count)
    )


def by_step(x, steps):
    """The mean of each timestep's unit steps."""
    return x.unflatten(1, (steps, D)).mean(2)


@backends
@pytest.mark.parametrize(
    ("mechanism", "causal"), [("qk_token", False), ("sdsa", False), ("sdsa", True)]
)
def test_gates_are_those_of_unit_spikes(mechanism, causal, backend):
    spikes = fractions(mechanism)
    neuron = {"decay": 0.5, "threshold": 0.4, "max_spikes": D}
    out, _ = spike_attention(*spikes, mechanism=mechanism, causal=causal, backend=backend, **neuron)
    query, key, *value = (unit_spikes(x, D) for x in spikes)
    options = {"mechanism": mechanism, "scale": 1.0, "causal": causal}
    current = attention_current(query, key, value[0] if value else None, **options)
    fired = unit_spikes(lif(by_step(current, 3), **neuron)[0], D)
    gated = fired.unsqueeze(-1) * key if mechanism == "qk_token" else query * fired
    assert len(out.unique()) == D + 1
    assert torch.equal(out, by_step(gated, 3))


def test_ssa_multiplies_the_fractions():
    query, key, value = fractions("ssa")
    out, _ = spike_attention(query, key, value, decay=0.5, scale=0.5, max_spikes=D)
    matches = torch.einsum("btnhd,btmhd->bthnm", query, key)
    expected, _ = lif(
        0.5 * torch.einsum("bthnm,btmhd->btnhd", matches, value), decay=0.5, max_spikes=D
    )
    assert torch.equal(out, expected)


@cases
@pytest.mark.parametrize("backend", ["cpu", "triton"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_kernels_equal_the_reference(mechanism, causal, backend, dtype):
    spikes = fractions(mechanism, dtype=dtype)
    got, expected = (
        results(spikes, kernel, mechanism, causal, max_spikes=D)
        for kernel in (backend, "reference")
    )
    assert got.keys() == expected.keys()
    for name, value in got.items():
        assert value.dtype == expected[name].dtype
        rounding = 2e-2 if value.dtype == torch.bfloat16 else 1e-4
        torch.testing.assert_close(value, expected[name], rtol=rounding, atol=1e-5)
        assert value.any(), name


@pytest.mark.parametrize("mechanism", ["qk_token", "sdsa"])
def test_one_spike_at_most_is_the_attention_of_bits(mechanism):
    bits = tuple((x > 0).float() for x in fractions(mechanism))
    options = {"decay": 0.5, "threshold": 2.0, "mechanism": mechanism}
    # Rounding fires from half a threshold on, so half of it makes the same first step.
    out, _ = spike_attention(*(x[:, :1] for x in bits), **options, max_spikes=1)
    expected, _ = spike_attention(*(x[:, :1] for x in bits), **{**options, "threshold": 1.000001})
    assert torch.equal(out, expected)
