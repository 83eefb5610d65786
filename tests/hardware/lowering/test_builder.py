"""Populations and projections, as a network runs."""

from __future__ import annotations

import pytest
from torch import nn

from spikeformer.encoding import DirectCoding, RateCoding
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import lower
from tests.hardware.lowering.layers import Function, net_of
from tests.hardware.lowering.test_lower import assert_equal
from tests.hardware.networks import HARD, images


def test_layer_that_runs_twice_is_two_populations():
    neuron = HARD()
    graph = assert_equal(
        net_of(nn.Flatten(2), nn.Linear(4, 4), neuron, nn.Linear(4, 4), neuron), images(3, (4,))
    )
    assert [p.name for p in graph.neurons] == ["3", "3_2"]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nn.Linear(3, 3)], "no spiking neurons"),
        ([HARD(), Function(lambda x: x[:, 0])], "outputs of shape"),
        ([HARD(), Function(lambda x: x.mean(dim=1))], "mixes several timesteps"),
        ([HARD(), Function(lambda x: x.cumsum(dim=1))], "mixes several timesteps"),
        ([HARD(), nn.Flatten(), nn.Linear(6, 2)], "'3' mixes several timesteps"),
        ([HARD(), Function(lambda x: (x, x))], "returned a tuple"),
        ([HARD(), Function(lambda x: x[:, :1]), HARD()], "runs for 1 timesteps.*for 2"),
        ([nn.BatchNorm1d(2, track_running_stats=False), HARD()], "track_running_stats"),
        ([HARD(), RateCoding(2)], "encodes something else"),
    ],
)
def test_networks_of_the_wrong_form_are_refused(layers, message):
    net = nn.Sequential(DirectCoding(2), *layers).eval()
    with pytest.raises(HardwareCompatibilityError, match=message):
        lower(net, (3,))
