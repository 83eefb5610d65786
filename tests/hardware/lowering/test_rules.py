"""Layers outside the project's models: what is lowered, and what is refused by name."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spikeformer.encoding import DirectCoding, RateCoding
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import lower
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
        [FrameBatchNorm(2), HARD(), Function(lambda x: x - 0.3), HARD(0.5)],
        [FrameBatchNorm(2), HARD(), Function(lambda x: x - torch.arange(4.0) / 9), HARD(0.5)],
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


WEIGHTS = torch.linspace(-1.0, 1.5, 20, dtype=torch.float64).reshape(4, 5)
BIAS = torch.linspace(-0.2, 0.4, 5, dtype=torch.float64)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.linear(x, WEIGHTS.T),
        lambda x: F.linear(x, WEIGHTS.T, BIAS),
        lambda x: x @ WEIGHTS,
        lambda x: x @ WEIGHTS[:, 0],
        lambda x: WEIGHTS.T @ x.mT,
        lambda x: torch.einsum("btnc,cd->btnd", x, WEIGHTS),
        lambda x: 2 * torch.addmm(BIAS, x.flatten(0, 2), WEIGHTS).view(*x.shape[:3], 5),
        lambda x: torch.bmm(x.flatten(0, 1), WEIGHTS.expand(x.shape[1] * len(x), 4, 5)).view(
            *x.shape[:3], 5
        ),
        lambda x: torch.cat([x[..., 2:], x[..., :1]], dim=-1),
        lambda x: torch.cat([x, torch.full((*x.shape[:2], 2, 4), 0.7).double()], dim=2),
        lambda x: torch.stack([x, x.flip(2)], dim=2),
        lambda x: F.pad(x, (1, 2, 0, 1), value=0.6),
        lambda x: F.pad(x, (-1, 1)),
    ],
)
def test_products_and_joints_of_a_users_own_code(function):
    net = net_of(FrameBatchNorm(2), HARD(), Function(lambda x: function(x.flatten(2, 3))), HARD())
    assert_equal(net, images(5, (2, 4, 4)))


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(2, 3, 2, stride=2),
        nn.ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1, groups=2),
        nn.Conv2d(2, 3, 2, dilation=2),
        nn.Conv2d(2, 3, 3, padding="same"),
        nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"),
        nn.AdaptiveAvgPool2d(1),
        nn.AdaptiveAvgPool2d((None, 3)),
        nn.AvgPool2d(3, 2, ceil_mode=True),
        nn.AvgPool2d(2, padding=1, count_include_pad=False),
        nn.Upsample(scale_factor=2),
        nn.ConstantPad2d(1, 0.5),
    ],
    ids=str,
)
def test_layers_that_are_affine_in_an_image(layer):
    assert_equal(net_of(FrameBatchNorm(2), HARD(), ByFrame(layer), HARD(0.3)), images(5, (2, 4, 4)))


def test_products_of_spikes_stay_refused():
    net = net_of(FrameBatchNorm(2), HARD(), Function(lambda x: x @ x.mT), HARD())
    with pytest.raises(HardwareCompatibilityError, match="both change at run time"):
        lower(net, (2, 4, 4))


def test_rate_coded_input():
    graph = assert_equal(
        net_of(nn.Flatten(2), nn.Linear(4, 4), HARD(), encoding=RateCoding(3)), images(3, (4,))
    )
    assert graph.populations["input"].kind == "spikes"
