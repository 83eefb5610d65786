"""Layers with weights: dense ones, and every kind of convolution."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.encoding import DirectCoding, EventCoding
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import lower
from spikeformer.hardware.ir.operators import Convolution, Sparse, TokenLinear
from spikeformer.models import DelayLinear
from tests.hardware.lowering.layers import ByFrame, net_of, net_on_spikes
from tests.hardware.lowering.test_lower import assert_equal
from tests.hardware.networks import HARD, heard, images


@pytest.mark.parametrize(
    ("layer", "operator"),
    [
        (nn.Sequential(nn.Flatten(2), nn.Linear(32, 5)), TokenLinear),
        (ByFrame(nn.Conv2d(2, 3, 3, 2, bias=True)), Convolution),
    ],
    ids=str,
)
def test_linear_layers_on_the_input_keep_their_structure(layer, operator):
    graph = assert_equal(net_of(layer, HARD()), images(5, (2, 4, 4)))
    assert [type(p.operator) for p in graph.projections] == [operator]


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(2, 3, 2, dilation=2),
        nn.Conv2d(2, 3, 3, padding="same"),
        nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"),
    ],
    ids=str,
)
def test_convolution_of_another_kind_is_a_matrix(layer):
    graph = assert_equal(net_on_spikes(ByFrame(layer), HARD(0.3)), images(5, (2, 4, 4)))
    assert isinstance(graph.synapses[-1].operator, Sparse)


@pytest.mark.parametrize("max_delay", [0, 1, 4, 15])
def test_delays_are_steps_of_the_sample(max_delay):
    net, events = heard(max_delay=max_delay)
    graph = assert_equal(net, events)
    assert graph.lag == sum(int(layer.delays.max()) for layer in net.backbone.layers)
    for projection in graph.projections:
        assert projection.delay == projection.lag + 1
    first = [p for p in graph.projections if p.source == "input"]
    delays = net.backbone.layers[0].delays
    assert [p.lag for p in first] == delays.unique().tolist()
    assert sum(p.operator.matrix().count_nonzero() for p in first) == delays.numel()


def test_delays_add_up_along_a_branch_and_meet_a_way_without():
    events = torch.randint(2, (4, 9, 5), generator=torch.Generator().manual_seed(0)).double()

    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.late, self.later = DelayLinear(5, 5, 2), DelayLinear(5, 5, 3)
            self.now = nn.Linear(5, 5)

        def forward(self, x):
            return self.later(self.late(x)) + self.now(x)

    torch.manual_seed(0)
    graph = assert_equal(net_of(Branches(), HARD(0.3), encoding=EventCoding(9)), events)
    assert {p.lag for p in graph.projections} == {0, 1, 2, 3, 4, 5}


def test_delays_of_what_is_no_spikes_are_refused():
    for net in (
        net_of(DelayLinear(4, 4, 2), HARD(), encoding=DirectCoding(3)),
        net_of(nn.Linear(4, 4), DelayLinear(4, 4, 2), HARD(), encoding=EventCoding(3)),
    ):
        shape = (4,) if isinstance(net[0], DirectCoding) else (3, 4)
        with pytest.raises(HardwareCompatibilityError, match="something else than spikes"):
            lower(net, shape)


def test_an_output_with_delays_is_refused():
    net = net_of(nn.Linear(4, 4), HARD(), DelayLinear(4, 2, 3), encoding=EventCoding(3))
    with pytest.raises(HardwareCompatibilityError, match="synapses with delays"):
        lower(net, (3, 4))
