from __future__ import annotations

from functools import partial

import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.models import ConvMerging, PatchMerging
from spikeformer.neurons import LifNeuron
from tests.models.firing import calibrate

soft = partial(LifNeuron, tau_mem=2.0)


@pytest.mark.parametrize("downsample", ["none", "pool", "stride"])
@pytest.mark.parametrize("shortcut", ["pool", "stride"])
@pytest.mark.parametrize("residual", ["sew", "membrane"])
@pytest.mark.parametrize("size", [(8, 8), (5, 7), (1, 2)])
def test_output_size_is_the_real_one(downsample, shortcut, residual, size):
    layer = PatchMerging(3, 6, 2, downsample, 1, shortcut, residual=residual).eval()
    height, width = layer.output_size(*size)
    assert layer(torch.rand(2, 3, 3, *size).round()).shape == (2, 3, 6, height, width)


def test_sew_adds_the_spikes_of_both_paths():
    layer = PatchMerging(3, 6, 2, "pool", neuron=soft, threshold=0.5)
    x = torch.randint(0, 3, (2, 4, 3, 6, 6)).float()
    calibrate(layer, x)
    first, second = layer.convs
    hidden = layer.neurons[0](torch.stack([first.pool(f) for f in first.norm(conv(first, x))]))
    hidden = layer.neurons[1](second.norm(conv(second, hidden)))
    beside = layer.shortcut_neuron(layer.shortcut.norm(conv(layer.shortcut, x)))
    torch.testing.assert_close(layer(x), hidden + beside)
    assert set(layer(x).unique().tolist()) == {0.0, 1.0, 2.0}
    assert layer.shortcut.conv.stride == (2, 2)


def conv(layer, x):
    return torch.stack([layer.conv(frames) for frames in x.unbind(1)], dim=1)


def test_membrane_fires_once_for_both_paths():
    layer = PatchMerging(3, 6, 2, "pool", 0, "pool", residual="membrane", neuron=soft)
    x = torch.randn(2, 4, 3, 6, 6)
    calibrate(layer, x)
    fired = layer.neurons[0](x)
    current = layer.convs[1](layer.neurons[1](layer.convs[0](fired)))
    torch.testing.assert_close(layer(x), current + layer.shortcut(fired))
    assert layer.shortcut_neuron is None
    assert layer(x).min() < 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PatchMerging(2, 4, 0), "num_convs"),
        (lambda: PatchMerging(2, 4, 2, "halve"), "downsample"),
        (lambda: PatchMerging(2, 4, 2, downsample_at=2), "downsample_at"),
        (lambda: PatchMerging(2, 4, 2, shortcut="none"), "shortcut"),
        (lambda: PatchMerging(2, 4, residual="add"), "residual"),
        (lambda: PatchMerging(2, 4, 2, downsample_at=[]), "downsample_at"),
        (lambda: PatchMerging(2, 4, 2, doubles=True), "doubled 2 times"),
        (lambda: PatchMerging(2, 4, 2, "pool", [0, 1], "pool"), "halve twice"),
        (lambda: ConvMerging(2, 4, residual="sew"), "residual"),
        (lambda: ConvMerging(2, 4, stride=0), "stride"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (3, 1), (7, 2)])
@pytest.mark.parametrize("size", [(8, 8), (5, 7)])
def test_one_convolution_merges(kernel, stride, size):
    merging = ConvMerging(3, 6, kernel, stride, neuron=soft, threshold=0.5)
    x = torch.randn(2, 4, 3, *size)
    calibrate(merging, x)
    found = merging(x)
    torch.testing.assert_close(found, merging.conv(merging.neuron(x)))
    assert found.shape == (2, 4, 6, *merging.output_size(*size))
