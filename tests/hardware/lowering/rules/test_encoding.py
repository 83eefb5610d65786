"""Spike encoders: what comes into the graph."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.encoding import DeltaCoding, DirectCoding, EventCoding, FrameCoding, RateCoding
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


def test_events_come_in_as_spikes():
    events = torch.randint(2, (5, 3, 2, 2), generator=torch.Generator().manual_seed(0)).double()
    net = net_of(nn.Flatten(2), nn.Linear(4, 4), HARD(), encoding=EventCoding(3))
    graph = assert_equal(net, events)
    assert [(p.kind, p.shape) for p in graph.sources] == [("spikes", (2, 2))]


def test_events_of_other_steps_are_refused():
    net = net_of(nn.Linear(4, 4), HARD(), encoding=EventCoding(3))
    with pytest.raises(HardwareCompatibilityError, match="2 timesteps"):
        lower(net, (2, 4))


def test_real_valued_frames_are_refused():
    net = net_of(nn.Linear(4, 4), HARD(), encoding=FrameCoding(3))
    with pytest.raises(HardwareCompatibilityError, match=r"FrameCoding.*encoding=events"):
        lower(net, (3, 4))
