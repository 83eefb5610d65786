"""Layers outside the project's models, and networks of them."""

from __future__ import annotations

from torch import nn

from spikeformer.encoding import DirectCoding
from spikeformer.models.norm import FrameBatchNorm
from tests.hardware.networks import HARD, enliven


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


def net_on_spikes(*layers):
    """A network whose layers get the spikes of two channels."""
    return net_of(FrameBatchNorm(2), HARD(), *layers)
