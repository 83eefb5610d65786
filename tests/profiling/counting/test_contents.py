from __future__ import annotations

import torch
from torch import nn

from spikeformer.neurons import IntegerLifNeuron, LifNeuron
from tests.profiling.networks import Call, counted


def test_negative_spikes_count_as_spikes():
    counts = counted(nn.Sequential(nn.Linear(4, 3)), torch.tensor([[1.0, -1, 0, 1]]))
    assert counts["0:linear"].acs == 9


def test_two_spikes_at_once_count_twice_in_a_spiking_network():
    sums = torch.tensor([[[2.0, 0, 1, 3]]])
    spiking = Call(lambda linear, neuron, x: neuron(linear(x)), nn.Linear(4, 3), LifNeuron())
    assert counted(spiking, sums)["parts.0:linear"].acs == 18
    # In an ordinary network whole numbers are numbers like others.
    assert counted(nn.Sequential(nn.Linear(4, 3)), sums)["0:linear"].macs == 9


def test_integer_spikes_are_as_many_as_they_say():
    neuron, layer = IntegerLifNeuron(max_spikes=4), nn.Linear(6, 3)
    current = torch.rand(2, 3, 6) * 3
    fired = (4 * neuron(current)).sum().item()
    counts = counted(nn.Sequential(neuron, layer), current)
    assert counts["1:linear"].acs == counts["1:linear"].synaptic_operations == 3 * fired
    assert counts["1:linear"].macs == 0
    assert counts["1:linear"].steps == 12
    assert counts["0:neuron"].spikes == fired
    assert counts["0:neuron"].neuron_updates == 4 * current.numel()


def test_full_integer_spikes_are_no_bits():
    counts = counted(
        nn.Sequential(IntegerLifNeuron(max_spikes=4), nn.Linear(6, 3)), torch.full((2, 1, 6), 9.0)
    )
    assert counts["1:linear"].acs == 4 * 2 * 6 * 3


def test_beside_binary_neurons_integer_spikes_are_graded():
    integer, layer = IntegerLifNeuron(max_spikes=4), nn.Linear(6, 3)
    current = torch.rand(2, 3, 6) * 3
    fired = (integer(current) != 0).sum().item()
    counts = counted(nn.Sequential(integer, layer, LifNeuron()), current)
    assert counts["1:linear"].macs == counts["1:linear"].synaptic_operations == 3 * fired
    assert counts["1:linear"].acs == 0
