from __future__ import annotations

from functools import partial

import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.models import SpikformerStem, SpikingAttention, SpikingSelfAttention, SpikingViT
from spikeformer.neurons import LifNeuron
from tests.models.firing import calibrate

soft = partial(LifNeuron, tau_mem=2.0)


@pytest.mark.parametrize("patch_size", [1, 4, 16])
@pytest.mark.parametrize("size", [(16, 16), (7, 9), (1, 5)])
def test_output_size_is_the_real_one(patch_size, size):
    stem = SpikformerStem(2, 8, 2, patch_size).eval()
    height, width = stem.output_size(*size)
    assert stem(torch.rand(1, 1, 2, *size)).shape == (1, 2, height * width, 8)


def test_by_its_layers():
    stem = SpikformerStem(2, 16, 3, 2, neuron=soft, threshold=0.5)
    x = torch.rand(2, 3, 2, 6, 6)
    calibrate(stem, x)
    hidden = x
    for conv, neuron in zip(stem.convs, stem.neurons, strict=True):
        hidden = neuron(conv(hidden))
        assert 0 < hidden.mean() < 1
    expected = hidden + stem.position_neuron(stem.position(hidden))
    tokens = torch.stack([expected[:, :, :, i, j] for i in range(3) for j in range(3)], dim=2)
    torch.testing.assert_close(stem(x), tokens)
    assert set(tokens.unique().tolist()) == {0.0, 1.0, 2.0}


def test_a_constant_input_is_convolved_once():
    stem = SpikformerStem(2, 8, 4, neuron=soft, threshold=0.5)
    x = torch.rand(3, 1, 2, 8, 8)
    calibrate(stem, x)
    seen = []
    stem.convs[0].conv.register_forward_hook(lambda m, a, o: seen.append(a[0].shape[0]))
    torch.testing.assert_close(stem(x), stem(x.expand(-1, 4, -1, -1, -1)))
    assert seen == [3, 12]


def spikformer(**kwargs):
    attention = partial(SpikingAttention, dropout=0.0, mechanism=SpikingSelfAttention)
    return SpikingViT(attention=attention, stem=SpikformerStem, residual="sew", **kwargs)


def test_spikformer_4_384_has_the_published_size():
    model = spikformer(image_size=32, d_model=384, nhead=12, num_layers=4)
    # 9.32 M with the head for ten classes (Zhou et al., 2023, table 4).
    assert sum(p.numel() for p in model.parameters()) + 3850 == pytest.approx(9.32e6, rel=1e-3)


def test_the_residual_stream_holds_integers():
    model = spikformer(image_size=8, d_model=16, nhead=2, num_layers=2, timesteps=3).train()
    features = model(torch.rand(4, 3, 8, 8) * 3)
    assert features.shape == (4, 3, 4, 16)
    assert torch.equal(features, features.round())
    assert 0 <= features.min() <= features.max() <= 6
    assert model.blocks.neuron is None
    features.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_unknown_patch_sizes_are_refused():
    with pytest.raises(ArgumentError, match="patch_size"):
        SpikformerStem(3, 16, 2, patch_size=3)
