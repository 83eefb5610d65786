"""Layers that pool or pass on."""

from __future__ import annotations

from functools import partial

import pytest
from torch import nn

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import lower
from spikeformer.neurons import IntegerLifNeuron
from tests.hardware.lowering.layers import ByFrame, net_of, net_on_spikes
from tests.hardware.lowering.test_lower import assert_equal
from tests.hardware.networks import HARD, images


@pytest.mark.parametrize(
    "layers",
    [
        [ByFrame(nn.MaxPool2d(2)), nn.Flatten(2), nn.Linear(8, 3)],
        [ByFrame(nn.MaxPool2d(3, 2, 1)), HARD()],
        [ByFrame(nn.AvgPool2d(3, 2, 1)), nn.Identity(), HARD(0.3)],
        [ByFrame(nn.AvgPool2d(3, 2, ceil_mode=True)), HARD(0.3)],
        [ByFrame(nn.AvgPool2d(2, padding=1, count_include_pad=False)), HARD(0.3)],
    ],
    ids=str,
)
def test_pooling_fires_as_in_torch(layers):
    assert_equal(net_on_spikes(*layers), images(5, (2, 4, 4)))


def test_maximum_pool_is_a_population_without_memory():
    graph = assert_equal(net_on_spikes(ByFrame(nn.MaxPool2d(2)), HARD()), images(5, (2, 4, 4)))
    pool = graph.neurons[1]
    assert (pool.shape, pool.decay, pool.threshold) == ((2, 2, 2), 0.0, 0.5)


def test_maximum_pool_of_real_numbers_is_refused():
    net = net_of(ByFrame(nn.MaxPool2d(2)), HARD())
    with pytest.raises(HardwareCompatibilityError, match="maximum of currents"):
        lower(net, (2, 4, 4))


@pytest.mark.parametrize(
    "pool", [nn.MaxPool2d(3, 2, 1), nn.MaxPool2d((2, 3), (1, 2), (1, 0)), nn.MaxPool2d(2)], ids=str
)
@pytest.mark.parametrize("levels", [2, 8])
def test_maximum_of_integer_spikes_is_the_same_on_the_graph(pool, levels):
    neuron = partial(IntegerLifNeuron, threshold=0.3, max_spikes=levels)
    layers = [ByFrame(nn.Conv2d(2, 3, 3, padding=1)), neuron(), ByFrame(pool), neuron()]
    net = net_of(*layers)
    nn.init.normal_(net[1].layer.weight)
    graph = assert_equal(net, 2 * images(6, (2, 5, 7)))
    assert {p.levels for p in graph.neurons} == {levels}
