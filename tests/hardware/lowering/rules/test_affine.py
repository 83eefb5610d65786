"""Layers that are affine in one image or sequence are read off as a matrix."""

from __future__ import annotations

import pytest
from torch import nn

from tests.hardware.lowering.layers import ByFrame, net_on_spikes
from tests.hardware.lowering.test_lower import assert_equal
from tests.hardware.networks import HARD, images


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(2, 3, 2, stride=2),
        nn.ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1, groups=2),
        nn.AdaptiveAvgPool2d(1),
        nn.AdaptiveAvgPool2d((None, 3)),
        nn.Upsample(scale_factor=2),
        nn.ConstantPad2d(1, 0.5),
    ],
    ids=str,
)
def test_affine_layers_of_an_image(layer):
    assert_equal(net_on_spikes(ByFrame(layer), HARD(0.3)), images(5, (2, 4, 4)))


@pytest.mark.parametrize("layer", [nn.Conv1d(2, 3, 3), nn.AvgPool1d(2)], ids=str)
def test_affine_layers_of_a_sequence(layer):
    assert_equal(net_on_spikes(nn.Flatten(3), ByFrame(layer), HARD(0.3)), images(5, (2, 2, 3)))
