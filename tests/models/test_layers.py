"""Layers for spikes compute what torch's do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.models import SpikingViT, recompute_currents
from spikeformer.models.layers import SpikeConv2d, SpikeLinear, may_keep_bits
from spikeformer.neurons import IntegerLifNeuron, LifNeuron
from spikeformer.training.memory import saved_bytes


def same_as(plain: nn.Module, layer: nn.Module, x: torch.Tensor) -> None:
    """Compare outputs, and the gradients of weights and input."""
    plain.load_state_dict(layer.state_dict())
    results = []
    for module in (plain, layer):
        given = x.clone().requires_grad_()
        out = module(given)
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
        results.append([out, given.grad, *(p.grad for p in module.parameters())])
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_spike_linear_is_linear(bias, backend):
    spikes = (torch.rand(2, 3, 5, 8) < 0.3).float()
    same_as(nn.Linear(8, 6, bias), SpikeLinear(8, 6, bias, backend=backend), spikes)


def test_spike_linear_takes_any_numbers_where_it_is_told():
    same_as(nn.Linear(8, 6), SpikeLinear(8, 6, binary=False), torch.randn(4, 8))


def test_spike_linear_follows_the_reference_backend_alone():
    assert SpikeLinear(2, 2, backend="reference").backend == "reference"
    assert SpikeLinear(2, 2, backend="cpu").backend == "auto"
    assert "binary=True" in repr(SpikeLinear(2, 2))


@pytest.mark.parametrize(("stride", "padding", "groups"), [(1, 1, 1), (2, 0, 1), (1, 1, 2)])
def test_spike_conv2d_is_conv2d(stride, padding, groups):
    options = {"stride": stride, "padding": padding, "groups": groups, "bias": False}
    spikes = (torch.rand(2, 4, 7, 6) < 0.3).float()
    same_as(nn.Conv2d(4, 6, 3, **options), SpikeConv2d(4, 6, 3, **options), spikes)


def test_may_keep_bits_of_binary_spikes_alone():
    assert may_keep_bits(LifNeuron())
    assert not may_keep_bits(LifNeuron(backend="reference"))
    assert not may_keep_bits(IntegerLifNeuron())


def small_vit() -> SpikingViT:
    torch.manual_seed(0)
    return SpikingViT(3, 16, d_model=32, nhead=2, num_layers=1, stem_strides=[2, 2], timesteps=3)


def test_recompute_currents_takes_them_from_memory_and_changes_nothing_else():
    images = torch.rand(2, 3, 16, 16)
    outcomes, kept = [], []
    for recompute in (False, True):
        net = small_vit()
        recompute_currents(net, recompute)
        kept.append(saved_bytes(net, images))
        net(images).square().sum().backward()
        outcomes.append([*(p.grad for p in net.parameters()), *net.buffers()])
    for expected, found in zip(*outcomes, strict=True):
        assert torch.equal(found, expected)
    assert outcomes[0][0].any()
    # Of each token and timestep, the hidden layer's 4 widths and those of Q and K.
    assert kept[0] - kept[1] == 4 * 2 * 3 * 16 * (4 + 2) * 32


def test_recompute_currents_leaves_them_to_hooks():
    net, seen = small_vit(), []
    recompute_currents(net)
    mlp = net.blocks.blocks[0].mlp
    mlp.expand.register_forward_hook(lambda *call: seen.append("layer"))
    net.blocks.blocks[0].attention.qkv_neuron.register_forward_hook(
        lambda *call: seen.append("neuron")
    )
    net(torch.rand(1, 3, 16, 16))
    assert seen == ["neuron", "layer"]


def test_recompute_currents_can_be_taken_back():
    net = small_vit()
    recompute_currents(net)
    recompute_currents(net, False)
    assert not any(getattr(module, "recompute", False) for module in net.modules())
