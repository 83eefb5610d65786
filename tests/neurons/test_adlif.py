from __future__ import annotations

import importlib
import math

import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.neurons import AdLifNeuron, LifNeuron, LifState
from tests.neurons import scalar


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_equals_a_scalar_loop(reset):
    current = 2 * torch.randn(3, 12, 4, dtype=torch.float64)
    start = LifState(*torch.rand(2, 3, 4, dtype=torch.float64))
    neuron = AdLifNeuron(0.8, 6.0, tau_adp=9.0, beta=0.4, reset=reset)
    spikes, state = neuron(current, start)
    assert 0.1 < spikes.mean() < 0.9
    for b in range(3):
        for f in range(4):
            expected, v, a = scalar.lif(
                current[b, :, f].tolist(),
                math.exp(-1 / 6),
                0.8,
                reset,
                start.membrane[b, f].item(),
                start.adaptation[b, f].item(),
                math.exp(-1 / 9),
                0.4,
            )
            assert spikes[b, :, f].tolist() == expected
            assert state.membrane[b, f].item() == v
            assert state.adaptation[b, f].item() == a


def test_without_spikes_the_adaptation_decays():
    neuron = AdLifNeuron(tau_adp=11.0)
    start = LifState(torch.zeros(1, 1), torch.full((1, 1), 0.5))
    _, state = neuron(torch.zeros(1, 8, 1), start)
    assert state.adaptation.item() == pytest.approx(0.5 * math.exp(-8 / 11), rel=1e-5)
    assert state.membrane.item() < 0  # the adaptation inhibits


def test_a_neuron_that_fires_often_slows_down():
    current = torch.full((1, 400, 1), 0.5)
    spikes = AdLifNeuron(tau_mem=20.0, tau_adp=100.0, beta=0.1)(current).flatten()
    intervals = spikes.nonzero().flatten().diff()
    assert intervals[0] <= 2
    assert intervals[-1] > 2 * intervals[0]
    # The adaptation current settles where it takes up the surplus, so charge is conserved:
    # in the steady state rate = (I - leak - a) / threshold with a = beta * rate / (1 - rho).
    rate = spikes[200:].mean().item()
    strength = 0.1 / (1 - math.exp(-1 / 100))
    assert rate == pytest.approx(0.5 / (1 + strength), rel=0.25)


def test_no_adaptation_is_a_lif_neuron():
    current = 2 * torch.randn(2, 30, 5)
    assert torch.equal(AdLifNeuron(beta=0.0)(current), LifNeuron()(current))


def test_the_adaptation_acts_one_step_later():
    current = torch.full((1, 2, 1), 1.0)
    neuron = AdLifNeuron(tau_mem=1e9, tau_adp=1e9, beta=0.5)
    spikes, state = neuron(current, neuron.initial_state(current))
    assert spikes.flatten().tolist() == [1.0, 0.0]
    assert state.membrane.item() == pytest.approx(0.5)


def test_gradcheck_with_a_smooth_spike(monkeypatch):
    smooth = lambda x, surrogate, slope: torch.sigmoid(4 * x)  # noqa: E731
    monkeypatch.setattr(importlib.import_module("spikeformer.ops.lif.reference"), "spike", smooth)
    neuron = AdLifNeuron(0.8, 3.0, 5.0, 0.4)

    def run(current, *state):
        spikes, final = neuron(current, LifState(*state))
        return spikes, *final

    shapes = ((2, 4, 3), (2, 3), (2, 3))
    inputs = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]
    assert torch.autograd.gradcheck(run, inputs)


@pytest.mark.parametrize("arguments", [{"beta": -0.1}, {"beta": math.nan}, {"tau_adp": 0.0}])
def test_values_out_of_range(arguments):
    (name,) = arguments
    with pytest.raises(ArgumentError, match=f"`{name}`"):
        AdLifNeuron(**arguments)


def test_repr():
    text = repr(AdLifNeuron(tau_adp=50.0, beta=0.2))
    assert "tau_adp=50.0, beta=0.2" in text
