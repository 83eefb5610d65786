"""Layers outside the project's models: what is lowered, and what is refused by name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.encoding import DirectCoding, RateCoding
from spikeformer.models.norm import FrameBatchNorm
from tests.hardware.lowering.test_lower import assert_equal
from tests.hardware.networks import HARD, enliven, images


class ByFrame(nn.Module):
    """Applies a layer for images to (batch, timesteps, channels, rows, columns)."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class Function(nn.Module):
    """Any function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def net_of(*layers, encoding=None):
    net = nn.Sequential(encoding or DirectCoding(3), *layers).eval()
    enliven(net)
    return net


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Flatten(2), nn.Linear(32, 5), HARD()],
        [ByFrame(nn.Conv2d(2, 3, 3, 2, bias=True)), HARD()],
        [ByFrame(nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4))), HARD(), nn.Dropout(0.5)],
        [FrameBatchNorm(2), HARD(), ByFrame(nn.MaxPool2d(2)), nn.Flatten(2), nn.Linear(8, 3)],
        [FrameBatchNorm(2), HARD(), ByFrame(nn.MaxPool2d(3, 2, 1)), HARD()],
        [FrameBatchNorm(2), HARD(), ByFrame(nn.AvgPool2d(3, 2, 1)), nn.Identity(), HARD(0.3)],
        [FrameBatchNorm(2), HARD(), Function(lambda x: 0.4 - x[:, :, :, 1:] * 2 / 3), HARD(0.2)],
        [FrameBatchNorm(2), HARD(), Function(lambda x: x + x.flip(3)), HARD()],
        [FrameBatchNorm(2), HARD(), Function(lambda x: x * x.roll(1, 4)), HARD()],
        [FrameBatchNorm(2), HARD(), Function(lambda x: x.cumsum(dim=-1)), HARD(2.0)],
        [FrameBatchNorm(2), HARD(), Function(lambda x: x.sum(dim=(3, 4))), HARD(3.0)],
        [FrameBatchNorm(2), HARD(), Function(lambda x: -x.mean(dim=2, keepdim=True)), HARD()],
        [FrameBatchNorm(2), HARD(), Function(lambda x: x * torch.arange(4.0)), HARD(1.5)],
        [FrameBatchNorm(2), HARD(), Function(lambda x: x.unbind(2)[1] - 0.5 * x[:, :, 0]), HARD()],
    ],
    ids=str,
)
def test_layers_of_a_users_own_network(layers):
    assert_equal(net_of(*layers), images(5, (2, 4, 4)))


def test_rate_coded_input():
    graph = assert_equal(
        net_of(nn.Flatten(2), nn.Linear(4, 4), HARD(), encoding=RateCoding(3)), images(3, (4,))
    )
    assert graph.populations["input"].kind == "spikes"
