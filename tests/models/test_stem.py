from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spikeformer.error_handling import ArgumentError
from spikeformer.models import ConvStem, SpikingConv
from spikeformer.neurons import LifNeuron
from tests.models.firing import calibrate

soft = partial(LifNeuron, tau_mem=2.0)


@pytest.mark.parametrize("strides", [(1,), (2,), (1, 2), (2, 2, 1), (1, 1, 2, 2)])
@pytest.mark.parametrize("size", [(8, 8), (7, 9), (1, 5), (6, 3)])
def test_output_size_is_the_real_one(strides, size):
    stem = ConvStem(2, 8, 2, strides).eval()
    height, width = stem.output_size(*size)
    assert stem(torch.rand(1, 2, 2, *size)).shape == (1, 2, height * width, 8)
    # Rows before columns: a token's place in the list is its place in the picture.
    assert height == -(-size[0] // (2 ** strides.count(2)))


def test_by_its_layers():
    stem = ConvStem(2, 8, 3, (1, 2), neuron=soft, threshold=0.5)
    x = torch.rand(2, 3, 2, 5, 6)
    calibrate(stem, x)
    first = stem.neurons[0](stem.convs[0](x))
    current = stem.convs[1](first)
    expected = current + stem.position(stem.neurons[1](current))
    assert 0 < first.mean() < 1
    tokens = torch.stack([expected[:, :, :, i, j] for i in range(3) for j in range(3)], dim=2)
    torch.testing.assert_close(stem(x), tokens)


def test_a_constant_input_is_convolved_once():
    stem = ConvStem(2, 8, 4, (1, 2), neuron=soft, threshold=0.5)
    x = torch.rand(3, 1, 2, 6, 6)
    calibrate(stem, x)
    seen = []
    stem.convs[0].conv.register_forward_hook(lambda m, a, o: seen.append(a[0].shape[0]))
    short = stem(x)
    long = stem(x.expand(-1, 4, -1, -1, -1))
    assert seen == [3, 12]
    torch.testing.assert_close(short, long)


@pytest.mark.parametrize(("stride", "groups"), [(1, 1), (2, 1), (1, 4)])
def test_spiking_conv_is_a_convolution_at_every_timestep(stride, groups):
    layer = SpikingConv(4, 8, stride, groups=groups)
    x = torch.rand(2, 3, 4, 5, 7)
    calibrate(layer, x)
    norm = layer.norm
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    for t in range(3):
        y = F.conv2d(x[:, t], layer.conv.weight, stride=stride, padding=1, groups=groups)
        y = (y - norm.running_mean.view(-1, 1, 1)) * scale.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)
        torch.testing.assert_close(layer(x)[:, t], y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strides": ()}, "`stem_strides`"),
        ({"strides": (1, 3)}, "`stem_strides`"),
        ({"dim": 10, "strides": (1, 2, 2)}, "`d_model` to be divisible by 4"),
        ({"threshold": 0.0}, "`threshold`"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        ConvStem(**{"in_channels": 1, "dim": 8, "timesteps": 2, **arguments})


def test_a_pooled_convolution_by_its_modules():
    """Training and inference equal the convolution, the norm and the pooling, one by one."""
    layer, parts = SpikingConv(3, 8, pool=True), SpikingConv(3, 8, pool=True)
    parts.load_state_dict(layer.state_dict())
    x, seen = torch.randn(2, 3, 3, 7, 6), []
    for module in (parts.norm, parts.pool):
        module.register_forward_hook(lambda module, *_: seen.append(type(module)))
    for training in (True, False):
        results = []
        for conv in (layer, parts):
            out = conv.train(training)(x)
            out.square().sum().backward()
            results.append([out, conv.conv.weight.grad, *conv.norm.buffers()])
        for fused, expected in zip(*results, strict=True):
            torch.testing.assert_close(fused, expected, rtol=1e-4, atol=1e-4)
    # Who watches the modules sees them run.
    assert seen == [type(parts.norm), type(parts.pool)] * 2


def test_another_pooling_in_its_place_is_the_one_that_runs():
    conv = SpikingConv(2, 3, pool=True).eval()
    conv.pool = nn.AvgPool2d(2)
    x = torch.rand(1, 1, 2, 4, 4)
    expected = F.avg_pool2d(conv.norm(conv.conv(x[:, 0])[:, None])[:, 0], 2)
    torch.testing.assert_close(conv(x)[:, 0], expected)
