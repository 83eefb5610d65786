from __future__ import annotations

import math

import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.neurons import CubaLifNeuron, LifNeuron, LifState
from tests.neurons import scalar


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_equals_a_scalar_loop(reset):
    current = torch.randn(3, 12, 4, dtype=torch.float64)
    start = LifState(*torch.rand(2, 3, 4, dtype=torch.float64))
    neuron = CubaLifNeuron(0.8, 6.0, tau_syn=3.0, reset=reset)
    spikes, state = neuron(current, start)
    assert 0.1 < spikes.mean() < 0.9
    for b in range(3):
        for f in range(4):
            held, currents = start.adaptation[b, f].item(), []
            for value in current[b, :, f].tolist():
                held = math.exp(-1 / 3) * held + value
                currents.append(held)
            membrane = start.membrane[b, f].item()
            expected, v, _ = scalar.lif(currents, math.exp(-1 / 6), 0.8, reset, membrane)
            assert spikes[b, :, f].tolist() == expected
            assert state.membrane[b, f].item() == v
            assert state.adaptation[b, f].item() == held


def test_a_current_of_one_step_is_a_lif_neuron():
    current = torch.randn(2, 30, 5)
    assert torch.equal(CubaLifNeuron(tau_syn=1e-3)(current), LifNeuron()(current))


def test_gradients_reach_the_steps_before():
    current = torch.zeros(1, 4, 1, requires_grad=True)
    neuron = CubaLifNeuron(tau_mem=1e-3, tau_syn=2.0, detach_reset=True, backend="reference")
    neuron(current)[:, 3].sum().backward()
    ratios = current.grad[0, 1:, 0] / current.grad[0, :-1, 0]
    torch.testing.assert_close(ratios, torch.full((3,), math.exp(1 / 2)))


def test_what_its_spikes_are():
    neuron = CubaLifNeuron()
    assert neuron.binary
    assert neuron.dynamics() is None  # no op has the current inside
    assert "tau_syn=5.0" in repr(neuron)


@pytest.mark.parametrize("tau_syn", [0.0, math.inf, math.nan])
def test_values_out_of_range(tau_syn):
    with pytest.raises(ArgumentError, match="`tau_syn`"):
        CubaLifNeuron(tau_syn=tau_syn)
