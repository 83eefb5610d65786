"""Rate functions equal the firing of their neurons at a constant current."""

from __future__ import annotations

import math

import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.neurons import (
    AdLifNeuron,
    IntegerLifNeuron,
    LifNeuron,
    ParametricLifNeuron,
    RateNeuron,
)

NEURONS = [
    LifNeuron(tau_mem=2.0),
    LifNeuron(tau_mem=5.0, reset="zero"),
    AdLifNeuron(tau_mem=2.0, tau_adp=5.0, beta=0.3),
    ParametricLifNeuron(tau_mem=2.0),
    IntegerLifNeuron(tau_mem=2.0),
]


@pytest.mark.parametrize("neuron", NEURONS, ids=lambda n: type(n).__name__)
def test_it_is_what_the_neuron_fires_on_average(neuron):
    current = torch.linspace(-1, 3, 101).view(1, 1, 101)
    fired = neuron(current.expand(1, 6, 101)).mean(dim=1, keepdim=True)
    torch.testing.assert_close(RateNeuron(neuron, 6)(current), fired)


def test_the_closed_form_of_a_hard_reset():
    beta, timesteps = 0.5, 8
    neuron = LifNeuron(tau_mem=-1 / math.log(beta), reset="zero")
    currents = torch.linspace(0.4, 1.4, 57)
    for current, rate in zip(
        currents.tolist(), RateNeuron(neuron, timesteps)(currents.view(1, 1, -1))[0, 0], strict=True
    ):
        charge = [current * (1 - beta**k) / (1 - beta) for k in range(1, timesteps + 1)]
        first = next((k for k, v in enumerate(charge, 1) if v >= 1), math.inf)
        assert float(rate) == math.floor(timesteps / first) / timesteps


def test_time_is_averaged_and_the_shape_kept():
    neuron = LifNeuron(tau_mem=2.0)
    current = torch.rand(2, 4, 3) * 2
    rates = RateNeuron(neuron)(current)
    assert rates.shape == current.shape
    alone = RateNeuron(neuron, 4)(current.mean(dim=1, keepdim=True))
    torch.testing.assert_close(rates, alone.expand_as(rates))


def test_gradients_reach_currents_and_parameters():
    neuron = ParametricLifNeuron(tau_mem=2.0, surrogate_type="sigmoid")
    current = torch.rand(2, 1, 5, requires_grad=True)
    RateNeuron(neuron, 4)(current).sum().backward()
    assert bool((current.grad > 0).all())
    assert neuron.decay_logit.grad is not None


def test_timesteps_are_checked():
    with pytest.raises(ArgumentError, match="timesteps"):
        RateNeuron(LifNeuron(), 0)
