"""Layers outside the project's models: what is lowered, and what is refused by name."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from spikeformer.encoding import DirectCoding, RateCoding
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import check_supported, lower, lowers
from spikeformer.hardware.lowering.registry import _RULES
from spikeformer.models.mechanisms import SpikingSelfAttention
from spikeformer.models.norm import FrameBatchNorm
from spikeformer.models.spikformer_stem import SpikformerStem
from spikeformer.neurons import AdLifNeuron, IntegerLifNeuron, LifNeuron, ReluNeuron
from tests.hardware.lowering.test_lower import assert_equal
from tests.hardware.networks import HARD, enliven, images, vit


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


def test_layer_that_runs_twice_is_two_populations():
    neuron = HARD()
    graph = assert_equal(
        net_of(nn.Flatten(2), nn.Linear(4, 4), neuron, nn.Linear(4, 4), neuron), images(3, (4,))
    )
    assert [p.name for p in graph.neurons] == ["3", "3_2"]


def test_rate_coded_input():
    graph = assert_equal(
        net_of(nn.Flatten(2), nn.Linear(4, 4), HARD(), encoding=RateCoding(3)), images(3, (4,))
    )
    assert graph.populations["input"].kind == "spikes"


def test_rule_of_a_users_own():
    class Halve(nn.Module):
        def forward(self, x):
            return torch.special.erf(x) * 0 + x / 2

    @lowers(Halve)
    def halve(builder, module, x):
        return x * 0.5

    try:
        assert_equal(net_of(nn.Linear(4, 4), Halve(), HARD(0.2)), images(3, (4,)))
    finally:
        del _RULES[Halve]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"norm": "layer"}, "qkv_norm.*TokenLayerNorm.*model.norm=batch"),
        ({"neuron": LifNeuron}, "stem.neurons.0.*reset='subtract'.*neuron=lif_hard"),
        ({"neuron": partial(AdLifNeuron, reset="zero")}, "AdLifNeuron.*neuron=lif_hard"),
        ({"neuron": IntegerLifNeuron}, "IntegerLifNeuron.*neuron=lif_hard"),
        ({"neuron": ReluNeuron}, "ReluNeuron.*neuron=lif_hard"),
        ({"mechanism": SpikingSelfAttention}, "mechanism.*SpikingSelfAttention.*qk_token"),
        ({"stem": partial(SpikformerStem, patch_size=4)}, "maximum of currents.*spiking_vit"),
    ],
)
def test_what_has_no_place_is_refused_with_a_remedy(settings, message):
    settings = {"dim": 16, **settings} if "stem" in settings else settings
    with pytest.raises(HardwareCompatibilityError, match=f"(?s){message}"):
        lower(vit(**settings), (1, 6, 6))


def test_all_obstacles_are_named_at_once():
    net = nn.Sequential(LifNeuron(), nn.LayerNorm(3), nn.Softmax(-1), nn.ReLU())
    with pytest.raises(HardwareCompatibilityError) as caught:
        check_supported(net)
    for name in ("LifNeuron", "LayerNorm", "Softmax", "ReLU"):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x.softmax(-1), "'1'.*softmax.*qk_token"),
        (lambda x: x @ x.mT, "'1'.*both change at run time"),
        (lambda x: x * x, "'1'.*both change at run time"),
        (lambda x: x.relu(), "'1'.*ReLU"),
        (lambda x: x.tanh(), "'1'.*aten.tanh"),
    ],
)
def test_operations_without_a_place_are_refused(function, message):
    net = nn.Sequential(DirectCoding(2), Function(function), HARD())
    with pytest.raises(HardwareCompatibilityError, match=message):
        lower(net, (3, 3))


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
        ([ByFrame(nn.Conv2d(1, 1, 3, padding="same")), HARD()], "padded with other"),
        ([HARD(), RateCoding(2)], "encodes something else"),
    ],
)
def test_networks_of_the_wrong_form_are_refused(layers, message):
    net = nn.Sequential(DirectCoding(2), *layers).eval()
    shape = (1, 4, 4) if isinstance(layers[0], ByFrame) else (3,)
    with pytest.raises(HardwareCompatibilityError, match=message):
        lower(net, shape)
