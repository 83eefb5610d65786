"""The proxy shares weights, computes rates and equals its network where nothing changes in time."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch import nn

from spikeformer.encoding import RateCoding
from spikeformer.error_handling import ArgumentError
from spikeformer.models import (
    QKTokenAttention,
    SpikeDrivenAttention,
    SpikformerStem,
    SpikingAttention,
    SpikingSelfAttention,
    SpikingTransformer,
    SpikingViT,
    rate_proxy,
)
from spikeformer.neurons import IntegerLifNeuron, LifNeuron, ParametricLifNeuron, RateNeuron
from tests.models.firing import calibrate

NEURON = partial(LifNeuron, tau_mem=2.0, surrogate_type="sigmoid")


def vit(**options):
    options = {"neuron": NEURON, "stem_strides": [1, 2], "timesteps": 4, **options}
    return SpikingViT(1, 8, d_model=16, nhead=2, num_layers=1, **options)


@pytest.mark.parametrize(
    "mechanism", [QKTokenAttention, SpikeDrivenAttention, SpikingSelfAttention]
)
def test_a_step_of_the_proxy_trains_the_network(mechanism):
    net = vit(attention=partial(SpikingAttention, mechanism=mechanism, dropout=0.0))
    before = {name: x.clone() for name, x in net.state_dict().items()}
    proxy = rate_proxy(net)
    outputs = proxy(torch.rand(4, 1, 8, 8))
    assert outputs.shape == (4, 1, 16, 16)
    outputs.square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
    torch.optim.SGD(net.parameters(), lr=0.1).step()
    changed = {name for name, x in net.state_dict().items() if not torch.equal(x, before[name])}
    assert any("conv.weight" in name for name in changed)
    assert any("running_mean" in name for name in changed)


@pytest.mark.parametrize("mechanism", [QKTokenAttention, SpikeDrivenAttention])
def test_integer_neurons_meet_as_in_the_network(mechanism):
    """At one timestep rates are what the network fires, coincidences included."""
    images = torch.rand(4, 1, 8, 8)
    net = calibrate(
        vit(
            neuron=IntegerLifNeuron,
            threshold=0.25,
            timesteps=1,
            attention=partial(SpikingAttention, mechanism=mechanism),
        ),
        images,
    )
    seen = []
    net.blocks.blocks[0].attention.out.register_forward_pre_hook(lambda _, a: seen.append(a[0]))
    expected = net(images)
    assert len(seen[0].unique()) > 3
    torch.testing.assert_close(rate_proxy(net)(images), expected)


def test_the_network_itself_stays_as_it_is():
    net = vit().eval()
    images = torch.rand(2, 1, 8, 8)
    expected, keys = net(images), list(net.state_dict())
    structure = repr(net)
    rate_proxy(net).train()(images)
    assert repr(net) == structure
    assert list(net.state_dict()) == keys
    assert not any(isinstance(module, RateNeuron) for module in net.modules())
    copied = copy.deepcopy(net)
    assert copied(images).shape == expected.shape


def test_one_layer_of_neurons_is_exact_for_a_constant_current():
    net = nn.Sequential(nn.Linear(3, 5), NEURON(), nn.Linear(5, 2))
    x = torch.randn(2, 1, 3).expand(2, 4, 3)
    torch.testing.assert_close(rate_proxy(net)(x).mean(dim=1), net(x).mean(dim=1))


def test_other_networks():
    ids = torch.randint(20, (2, 5))
    mask = torch.arange(5) < torch.tensor([[5], [3]])
    transformer = SpikingTransformer(
        20, d_model=16, nhead=2, num_layers=1, timesteps=3, neuron=ParametricLifNeuron
    )
    assert rate_proxy(transformer)(ids, mask).shape == (2, 1, 5, 16)
    spikformer = vit(stem=partial(SpikformerStem, patch_size=2), residual="sew")
    assert rate_proxy(spikformer)(torch.rand(2, 1, 8, 8)).shape == (2, 1, 16, 16)


def test_an_encoder_hands_over_its_average():
    net = vit(encoding=RateCoding(4))
    images = torch.full((2, 1, 8, 8), 0.5)
    seen = []
    proxy = rate_proxy(net)
    proxy.stem.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    proxy(images)
    torch.testing.assert_close(seen[0], images.unsqueeze(1))


def test_what_it_refuses():
    with pytest.raises(ArgumentError, match="spiking neurons"):
        rate_proxy(nn.Linear(2, 2))
    mixed = nn.Sequential(vit(), vit(timesteps=2))
    with pytest.raises(ArgumentError, match="the same in all layers"):
        rate_proxy(mixed)
