from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from spikeformer.error_handling import ArgumentError, SpikingDynamicsError
from spikeformer.models import ConvMLP, DepthwiseMixing, SeparableMixing
from spikeformer.neurons import IntegerLifNeuron, LifNeuron
from tests.models.firing import calibrate

HARD = partial(LifNeuron, tau_mem=1.4427, reset="zero")
INTEGER = partial(IntegerLifNeuron, max_spikes=4)


def test_depthwise_mixing_is_a_convolution_over_the_grid():
    layer = DepthwiseMixing(4, 1, 2, 3, neuron=HARD).eval()
    layer.grid_size = (3, 5)
    x = torch.rand(2, 2, 15, 4).round()
    reference = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
    reference.weight = layer.conv.conv.weight
    frames = x.reshape(4, 3, 5, 4).permute(0, 3, 1, 2)
    expected = reference(frames) / (1 + layer.conv.norm.eps) ** 0.5
    torch.testing.assert_close(layer(x), expected.permute(0, 2, 3, 1).reshape(2, 2, 15, 4))
    with pytest.raises(SpikingDynamicsError, match="3 x 5 tokens"):
        layer(torch.rand(2, 2, 14, 4))


@pytest.mark.parametrize("neuron", [HARD, INTEGER])
@pytest.mark.parametrize("kernel_size", [3, 7])
def test_separable_mixing_is_three_convolutions_and_two_neurons(neuron, kernel_size):
    layer = SeparableMixing(4, 1, 3, kernel_size, neuron=neuron)
    layer.grid_size = (5, 3)
    x = (torch.rand(2, 3, 15, 4) < 0.5).float()
    calibrate(layer, x)

    def conv(part, frames, groups=1):
        """Convolution and batch norm of (batch, timesteps, channels, 5, 3)."""
        weight, norm = part.conv.weight, part.norm
        padding = weight.shape[-1] // 2
        current = F.conv2d(frames.flatten(0, 1), weight, padding=padding, groups=groups)
        statistics = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        return F.batch_norm(current, *statistics).unflatten(0, (2, 3))

    frames = x.transpose(2, 3).unflatten(3, (5, 3))
    hidden = layer.neurons[0](conv(layer.expand, frames))
    hidden = layer.neurons[1](conv(layer.conv, hidden, groups=8))
    assert 0 < hidden.mean() < 1
    expected = conv(layer.contract, hidden).flatten(3).transpose(2, 3)
    torch.testing.assert_close(layer(x), expected)
    fires = neuron(threshold=0.5)
    assert torch.equal(layer(x, neuron=fires), fires(layer(x)))


def test_an_mlp_of_convolutions_sees_neighbours():
    layer = ConvMLP(4, 6, neuron=HARD)
    layer.grid_size = (3, 4)
    x = (torch.rand(2, 3, 12, 4) < 0.5).float()
    calibrate(layer, x)
    frames = x.transpose(2, 3).unflatten(3, (3, 4))
    hidden = layer.neuron(layer.expand(frames))
    assert 0 < hidden.mean() < 1
    torch.testing.assert_close(layer(x), layer.contract(hidden).flatten(3).transpose(2, 3))
    assert [part.conv.kernel_size for part in (layer.expand, layer.contract)] == [(3, 3)] * 2
    single = torch.zeros(1, 3, 12, 4)
    reached = layer.expand((single + F.one_hot(torch.tensor(5), 12)[:, None]).transpose(2, 3)
                           .unflatten(3, (3, 4))) - layer.expand(single.transpose(2, 3)
                           .unflatten(3, (3, 4)))  # fmt: skip
    assert (reached[0, 0].abs().sum(0) > 0).sum() == 9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SeparableMixing(4, 1, 2, norm="layer"), "`norm` to be"),
        (lambda: SeparableMixing(4, 1, 2, causal=True), "`causal` to be"),
        (lambda: SeparableMixing(4, 1, 2, 4), "kernel_size"),
        (lambda: SeparableMixing(4, 1, 2, expansion=0), "expansion"),
        (lambda: ConvMLP(4, 6, 0.1), "dropout"),
        (lambda: ConvMLP(4, 6, norm="layer"), "norm"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize("layer", [SeparableMixing(4, 1, 2), ConvMLP(4, 6)])
def test_tokens_have_to_fill_the_grid(layer):
    layer.grid_size = (2, 3)
    with pytest.raises(SpikingDynamicsError, match="2 x 3 tokens"):
        layer(torch.zeros(1, 2, 5, 4))
    with pytest.raises(SpikingDynamicsError, match="a mask"):
        layer(torch.zeros(1, 2, 6, 4), torch.ones(1, 6))
