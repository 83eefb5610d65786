from __future__ import annotations

from functools import partial

import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.models import ConvEmbedding, EventEmbedding, PatchEmbedding
from spikeformer.neurons import LifNeuron
from tests.models.firing import calibrate

soft = partial(LifNeuron, tau_mem=2.0)


@pytest.mark.parametrize("residual", ["sew", "membrane"])
@pytest.mark.parametrize("downsample", ["none", "pool", "stride"])
def test_a_constant_image_is_convolved_once(residual, downsample):
    layer = PatchEmbedding(2, 8, 4, downsample, residual=residual, neuron=soft, threshold=0.5)
    x = torch.rand(3, 1, 2, 9, 8)
    calibrate(layer, x)
    seen = []
    layer.conv.conv.register_forward_hook(lambda m, a, o: seen.append(a[0].shape[0]))
    torch.testing.assert_close(layer(x), layer(x.expand(-1, 4, -1, -1, -1)))
    assert seen == [3, 12]
    assert layer(x).shape[-2:] == layer.output_size(9, 8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PatchEmbedding(2, 5, 4), "even"),
        (lambda: ConvEmbedding(2, 4, 2, residual="sew"), "residual"),
        (lambda: EventEmbedding(2, 12, 4), "d_model"),
        (lambda: EventEmbedding(2, 8, 4, "none"), "downsample"),
        (lambda: EventEmbedding(2, 8, 4, num_convs=2), "num_convs"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize("residual", ["sew", "membrane"])
@pytest.mark.parametrize("downsample", ["pool", "stride"])
@pytest.mark.parametrize("num_convs", [3, 4])
def test_embeddings_of_events_halve_in_all_convolutions_but_the_first(
    residual, downsample, num_convs
):
    layer = EventEmbedding(
        2, 8, 3, downsample, num_convs, residual=residual, neuron=soft, threshold=0.5
    )
    x = (torch.rand(2, 3, 2, 17, 12) < 0.3).float()
    calibrate(layer, x)
    found = layer(x)
    assert found.shape[2:] == (8, *layer.output_size(17, 12))
    assert layer.output_size(17, 12) == ((3, 2) if num_convs == 4 else (5, 3))
    torch.testing.assert_close(layer(x[:, :1]), layer(x[:, :1].expand(-1, 3, -1, -1, -1)))
    if residual == "membrane":
        hidden = layer.convs[0](x)
        for conv, neuron in zip(layer.convs[1:], layer.neurons, strict=True):
            hidden = conv(neuron(hidden))
        fired = layer.merging.neurons[0](hidden)
        first, second = layer.merging.convs
        expected = second(layer.merging.neurons[1](first(fired))) + layer.merging.shortcut(fired)
    else:
        hidden = x
        for conv, neuron in zip(layer.convs, layer.neurons, strict=True):
            hidden = neuron(conv(hidden))
        beside = layer.merging.shortcut_neuron(layer.merging.shortcut(hidden))
        for conv, neuron in zip(layer.merging.convs, layer.merging.neurons, strict=True):
            hidden = neuron(conv(hidden))
        expected = hidden + beside
    torch.testing.assert_close(found, expected)
    assert found.std() > 0
    widths = [conv.conv.out_channels for conv in (*layer.convs, *layer.merging.convs)]
    assert widths == [8 // 2**i for i in reversed(range(num_convs))]


@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (3, 1), (7, 2)])
@pytest.mark.parametrize("size", [(8, 8), (5, 7)])
def test_one_convolution_embeds(kernel, stride, size):
    x = torch.randn(2, 4, 3, *size)
    embedding = ConvEmbedding(3, 6, 4, kernel, stride)
    calibrate(embedding, x)
    torch.testing.assert_close(embedding(x), embedding.conv(x))
    once = embedding(x[:, :1])
    torch.testing.assert_close(once, embedding.conv(x[:, :1]).expand(-1, 4, -1, -1, -1))
    assert once.shape[-2:] == embedding.output_size(*size)
