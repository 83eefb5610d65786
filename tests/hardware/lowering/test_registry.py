"""Rules are found by type; what has none is refused by name."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from spikeformer.encoding import DirectCoding
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import check_supported, lower, lowers
from spikeformer.hardware.lowering.registry import _RULES
from spikeformer.models.mechanisms import SpikingSelfAttention
from spikeformer.models.spikformer_stem import SpikformerStem
from spikeformer.neurons import AdLifNeuron, IntegerLifNeuron, LifNeuron, ReluNeuron
from tests.hardware.lowering.layers import Function, net_of
from tests.hardware.lowering.test_lower import assert_equal
from tests.hardware.networks import HARD, images, vit


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
        (
            {"neuron": partial(IntegerLifNeuron, max_spikes=128)},
            "IntegerLifNeuron.*neuron=lif_hard",
        ),
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
