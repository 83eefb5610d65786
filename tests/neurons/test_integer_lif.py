from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from spikeformer.error_handling import ArgumentError
from spikeformer.neurons import IntegerLifNeuron, LifState, unit_spikes
from tests.neurons import scalar


@pytest.mark.parametrize("max_spikes", [1, 3, 4])
def test_equals_a_scalar_loop(max_spikes):
    current = 2 * torch.randn(2, 10, 3, dtype=torch.float64)
    start = torch.randn(2, 3, dtype=torch.float64)
    neuron = IntegerLifNeuron(0.7, 5.0, max_spikes)
    spikes, state = neuron(current, LifState(start))
    counts = (spikes * max_spikes).round()
    assert set(counts.unique().tolist()) == set(range(max_spikes + 1))
    torch.testing.assert_close(spikes * max_spikes, counts)
    for b in range(2):
        for f in range(3):
            series, v0 = current[b, :, f].tolist(), start[b, f].item()
            expected, v = scalar.integer_lif(series, math.exp(-1 / 5), 0.7, max_spikes, v0)
            assert counts[b, :, f].tolist() == expected
            assert state.membrane[b, f].item() == pytest.approx(v, abs=1e-12)


def test_gradient_passes_straight_through_inside_the_range_only():
    x = torch.tensor([-0.5, 0.1, 1.0, 1.9, 2.5]).view(1, 1, -1).requires_grad_()
    neuron = IntegerLifNeuron(threshold=0.5, max_spikes=4)
    (grad,) = torch.autograd.grad(neuron(x).sum(), x)
    # d(n / D) / dI = 1 / (theta D) where 0 <= I / theta <= D.
    assert grad.flatten().tolist() == [0.0, 0.5, 0.5, 0.5, 0.0]


def test_gradient_through_time_by_hand():
    current = torch.tensor([[[0.8], [0.9]]], requires_grad=True)
    neuron = IntegerLifNeuron(1.0, 2.0, 4)
    spikes = neuron(current)
    (grad,) = torch.autograd.grad(spikes[0, 1, 0], current)
    # v[1] = u - n; straight through, du - dn = 0: the first current leaves no trace.
    assert grad.flatten().tolist() == pytest.approx([0.0, 0.25])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("max_spikes", [1, 3, 4])
def test_unit_spikes_give_a_linear_layer_the_same_total(max_spikes, dtype):
    spikes = IntegerLifNeuron(max_spikes=max_spikes)(3 * torch.randn(2, 5, 3, 6).to(dtype))
    units = unit_spikes(spikes, max_spikes)
    assert units.shape == (2, 5 * max_spikes, 3, 6)
    assert units.dtype == dtype
    assert set(units.unique().tolist()) == {0.0, 1.0}
    grouped = units.float().unflatten(1, (5, max_spikes))
    assert torch.equal(grouped.sum(2), (spikes.float() * max_spikes).round())
    # Spikes of one step come first in it, so that none is early.
    assert bool((grouped.diff(dim=2) <= 0).all())
    layer = nn.Linear(6, 4, bias=False)
    torch.testing.assert_close(layer(grouped).sum(2) / max_spikes, layer(grouped.mean(2)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_counts_as_float32_does(dtype):
    neuron = IntegerLifNeuron(threshold=0.5, max_spikes=4)
    current = (3 * torch.randn(2, 3, 40)).to(dtype).requires_grad_()
    halves, state = neuron.to(dtype)(current, neuron.initial_state(current))
    whole = current.detach().float().requires_grad_()
    expected, final = neuron(whole, neuron.initial_state(whole))
    assert (halves.dtype, state.membrane.dtype) == (dtype, torch.float32)
    assert torch.equal(halves.float(), expected)
    assert torch.equal(state.membrane, final.membrane)
    grads = (
        torch.autograd.grad(x.sum(), leaf)[0] for x, leaf in ((halves, current), (expected, whole))
    )
    torch.testing.assert_close(*(g.float() for g in grads), rtol=1e-2, atol=1e-3)


def test_values_out_of_range():
    for max_spikes in (0, -1, 1.5):
        with pytest.raises(ArgumentError, match="`max_spikes`"):
            IntegerLifNeuron(max_spikes=max_spikes)


def test_repr():
    assert "max_spikes=3" in repr(IntegerLifNeuron(max_spikes=3))
