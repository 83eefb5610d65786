"""Spike encoders: what comes into the graph."""

from __future__ import annotations

import pytest
from torch import nn

from spikeformer.encoding import DeltaCoding, DirectCoding, RateCoding
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import lower
from tests.hardware.lowering.layers import Function, net_of
from tests.hardware.lowering.test_lower import assert_equal
from tests.hardware.networks import HARD, images


def test_rate_coded_input():
    graph = assert_equal(
        net_of(nn.Flatten(2), nn.Linear(4, 4), HARD(), encoding=RateCoding(3)), images(3, (4,))
    )
    assert graph.populations["input"].kind == "spikes"


@pytest.mark.parametrize(
    ("encoding", "sources"),
    [
        (DirectCoding(3), {"input": "values"}),
        (DeltaCoding(3, 0.3), {"input.up": "spikes", "input.down": "spikes"}),
    ],
)
def test_encoder_decides_what_comes_in(encoding, sources):
    graph = assert_equal(net_of(nn.Linear(4, 4), HARD(), encoding=encoding), images(3, (4,)))
    assert {source.name: source.kind for source in graph.sources} == sources


def test_encoder_of_anything_but_the_input_is_refused():
    net = nn.Sequential(Function(lambda x: 2 * x), RateCoding(3), nn.Linear(4, 4), HARD())
    with pytest.raises(HardwareCompatibilityError, match="'1'"):
        lower(net, (4,))
