"""Layers for spikes compute what torch's do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.models.layers import SpikeConv2d, SpikeLinear, may_keep_bits
from spikeformer.neurons import IntegerLifNeuron, LifNeuron


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
