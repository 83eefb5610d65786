"""A network of delays: shapes, causality, streaming."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from spikeformer.encoding import EventCoding, RateCoding
from spikeformer.error_handling import ArgumentError, SpikingDynamicsError
from spikeformer.models import ClassificationHead, SpikingDelayNetwork, SpikingNetwork, Stream
from spikeformer.neurons import LifNeuron


def network(timesteps: int, **options) -> SpikingDelayNetwork:
    torch.manual_seed(0)
    options = {"max_delay": 3, "threshold": 0.3, **options}
    neuron = partial(LifNeuron, reset="zero")
    return SpikingDelayNetwork(1, (1, 9), 12, 2, timesteps, neuron=neuron, **options).eval()


@pytest.fixture
def events():
    return (torch.rand(2, 10, 1, 1, 9, generator=torch.Generator().manual_seed(1)) < 0.5).float()


def test_features_are_spikes_of_one_token(events):
    features = network(10)(events)
    assert features.shape == (2, 10, 1, 12)
    assert set(features.unique().tolist()) == {0.0, 1.0}


def test_what_comes_later_changes_nothing_before(events):
    later = events.clone()
    later[:, 6:] = 1 - later[:, 6:]
    net = network(10)
    one, two = net(events), net(later)
    assert torch.equal(one[:, :6], two[:, :6])
    assert not torch.equal(one, two)


def test_a_delay_lets_early_and_late_events_meet():
    """Two channels, the first five steps ahead: only with that delay they fire the neuron."""
    for delay, fires in ((5, True), (4, False), (0, False)):
        net = SpikingDelayNetwork(1, (1, 2), 1, 1, 8, threshold=1.5, max_delay=5).eval()
        layer = net.layers[0]
        layer.weight.data.fill_(1.0)
        layer.position.data.copy_(torch.tensor([[float(delay), 0.0]]))
        net.neurons[0]._decay = 0.0
        x = torch.zeros(1, 8, 1, 1, 2)
        x[0, 1, 0, 0, 0] = x[0, 6, 0, 0, 1] = 1
        assert bool(net(x).any()) == fires


@pytest.mark.parametrize("timesteps", [1, 3, 4])
def test_parts_give_the_whole(events, timesteps):
    head = ClassificationHead(12, 3)
    with torch.no_grad():
        whole = SpikingNetwork(network(10), head).eval()(events)
        parts = Stream(SpikingNetwork(network(timesteps), head)).run(events)
    torch.testing.assert_close(parts, whole)
    assert len(whole[0].unique(dim=0)) > 3


def test_training_moves_weights_and_positions(events):
    net = network(10).train()
    net(events).sum().backward()
    for layer in net.layers:
        assert layer.weight.grad.abs().sum() > 0
        assert layer.position.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "options",
    [
        {"encoding": RateCoding(10)},
        {"encoding": EventCoding(9)},
        {"dropout": 2.0},
        {"max_delay": -1},
    ],
)
def test_wrong_arguments_are_refused(options):
    with pytest.raises(ArgumentError):
        network(10, **options)


def test_other_shapes_are_refused(events):
    with pytest.raises(SpikingDynamicsError, match=r"\(batch, 9, 1, 1, 9\)"):
        network(9)(events)
