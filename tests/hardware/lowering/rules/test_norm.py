"""Batch norm folds into the weights before it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import lower
from tests.hardware.lowering.layers import ByFrame, net_of
from tests.hardware.lowering.test_lower import assert_equal
from tests.hardware.networks import HARD, images


def test_batch_norm_behind_a_convolution_makes_no_layer_of_its_own():
    layers = ByFrame(nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)))
    graph = assert_equal(net_of(layers, HARD(), nn.Dropout(0.5)), images(5, (2, 4, 4)))
    assert len(graph.neurons) == 1


def test_batch_norm_without_weights_of_its_own():
    norm = nn.BatchNorm2d(2, affine=False)
    norm.running_mean = torch.tensor([0.4, -0.2])
    norm.running_var = torch.tensor([0.3, 0.5])
    net = nn.Sequential(*net_of(HARD())[:1], ByFrame(norm), HARD()).eval()
    assert_equal(net, images(5, (2, 4, 4)))


def test_batch_norm_of_each_batch_is_refused():
    norm = nn.BatchNorm2d(2, track_running_stats=False)
    net = nn.Sequential(*net_of(HARD())[:1], ByFrame(norm), HARD()).eval()
    with pytest.raises(HardwareCompatibilityError, match=r"statistics"):
        lower(net, (2, 4, 4))
