"""An unrolled neuron fires, one by one, the spikes that the integer neuron counts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.error_handling import SpikingDynamicsError
from spikeformer.neurons import IntegerLifNeuron, unit_spikes
from spikeformer.neurons.unrolled import UnrolledNeuron, gathered


@pytest.fixture
def integer():
    return IntegerLifNeuron(0.5, 2.0, max_spikes=4).eval()


def test_unrolled_neuron_fires_what_the_integer_neuron_counts(integer):
    unrolled, current = UnrolledNeuron(integer, timesteps=3).eval(), torch.randn(2, 12, 30)
    expected, final = integer(current.unflatten(1, (3, 4)).mean(2), integer.initial_state(current))
    spikes, state = unrolled(current, unrolled.initial_state(current))
    assert len(expected.unique()) == 5
    assert spikes.unique().tolist() == [0.0, 1.0]
    assert torch.equal(spikes, unit_spikes(expected, 4))
    assert torch.equal(state.membrane, final.membrane)
    assert unrolled.binary
    assert not unrolled.fires_integers


def test_unrolled_neuron_normalises_what_it_gathered(integer):
    norm = nn.LayerNorm(6)
    nn.init.normal_(norm.weight)
    unrolled, current = UnrolledNeuron(integer, timesteps=2).eval(), torch.randn(3, 8, 6)
    expected = integer(norm(current.unflatten(1, (2, 4)).mean(2)))
    assert torch.equal(unrolled(current, norm=norm), unit_spikes(expected, 4))


def test_unrolled_neuron_refuses_other_lengths_and_training(integer):
    unrolled = UnrolledNeuron(integer, timesteps=2)
    with pytest.raises(SpikingDynamicsError, match=r"eval\(\)"):
        unrolled.train()(torch.zeros(1, 8, 3))
    with pytest.raises(SpikingDynamicsError, match=r"8 steps, 4 for each.*got 4"):
        unrolled.eval()(torch.zeros(1, 4, 3))


def test_gathered_is_the_mean_over_the_steps_of_a_timestep():
    x = torch.tensor([[1.0, 3.0, 5.0, 7.0]]).unsqueeze(-1)
    assert gathered(x, 2).flatten().tolist() == [2.0, 6.0]
