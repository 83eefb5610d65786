"""Layers with weights: dense ones, and every kind of convolution."""

from __future__ import annotations

import pytest
from torch import nn

from spikeformer.hardware.ir.operators import Convolution, Sparse, TokenLinear
from tests.hardware.lowering.layers import ByFrame, net_of, net_on_spikes
from tests.hardware.lowering.test_lower import assert_equal
from tests.hardware.networks import HARD, images


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
