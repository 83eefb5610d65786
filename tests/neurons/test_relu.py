"""The rectifier that stands for an ANN's activation."""

from __future__ import annotations

import pytest
import torch

from spikeformer.cli import compose
from spikeformer.neurons import ReluNeuron
from spikeformer.pipeline import build_network


@pytest.mark.parametrize("threshold", [1.0, 0.25])
def test_it_is_the_rectifier_at_every_timestep(threshold):
    current = torch.randn(2, 3, 5)
    rates = ReluNeuron(threshold)(current)
    torch.testing.assert_close(rates, torch.relu(current) / threshold)
    whole, state = ReluNeuron(threshold)(current, ReluNeuron(threshold).initial_state(current))
    assert torch.equal(whole, rates)
    assert not state.membrane.any()


def test_the_ann_has_the_weights_of_the_spiking_one():
    spiking = build_network(compose("model.num_layers=1"))
    ann = build_network(compose("model.num_layers=1", "neuron=relu", "timesteps=1"))
    ann.load_state_dict(spiking.state_dict())
    images = torch.rand(2, 1, 8, 8)
    assert ann.eval()(images).shape == (2, 1, 10)
