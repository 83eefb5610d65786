from __future__ import annotations

from functools import partial

import pytest
import torch

from spikeformer.error_handling import ArgumentError, SpikingDynamicsError
from spikeformer.multimodal import AudioSpikeEncoder, TextSpikeEncoder, VisionSpikeEncoder
from spikeformer.neurons import IntegerLifNeuron, LifNeuron

soft = partial(LifNeuron, tau_mem=2.0, surrogate_type="atan")


@pytest.mark.parametrize(
    ("encoder", "x", "tokens"),
    [
        (VisionSpikeEncoder(8, 3), torch.rand(2, 3, 9, 6), 3 * 2),
        (VisionSpikeEncoder(8, 3, in_channels=1, strides=[2]), torch.rand(2, 1, 5, 5), 9),
        (AudioSpikeEncoder(8, 3, num_mels=16), torch.randn(2, 1000), 2 * 1),
        (AudioSpikeEncoder(8, 3, num_mels=16), torch.rand(2, 16, 9), 2 * 2),
        (TextSpikeEncoder(20, 8, 3), torch.randint(20, (2, 7)), 7),
        (TextSpikeEncoder(20, 8, 3, norm="layer"), torch.randint(20, (2, 1)), 1),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, torch.nn.Module) else "",
)
def test_spikes_of_tokens(encoder, x, tokens):
    spikes = encoder.encode(x)
    assert spikes.shape == (2, 3, tokens, 8)
    assert set(spikes.unique().tolist()) <= {0.0, 1.0}
    assert spikes.sum() > 0
    assert encoder.binary
    spikes.sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())


def test_other_neurons_may_fire_other_numbers():
    assert not VisionSpikeEncoder(8, 3, neuron=IntegerLifNeuron).binary


@pytest.mark.parametrize(
    ("encoder", "x", "message"),
    [
        (AudioSpikeEncoder(8, 3), torch.rand(2, 100), "n_fft=256"),
        (AudioSpikeEncoder(8, 3), torch.rand(2, 16, 9), "num_mels=32"),
        (AudioSpikeEncoder(8, 3), torch.rand(2, 1, 32, 9), "num_mels=32"),
        (TextSpikeEncoder(20, 8, 3), torch.rand(2, 7), "integer token"),
        (TextSpikeEncoder(20, 8, 3), torch.full((2, 7), 20), "vocab_size - 1 = 19"),
        (TextSpikeEncoder(20, 8, 3, max_length=6), torch.ones(2, 7).long(), "max_length=6"),
    ],
)
def test_wrong_inputs(encoder, x, message):
    with pytest.raises(SpikingDynamicsError, match=message):
        encoder.encode(x)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: AudioSpikeEncoder(8, 3, num_mels=200), "num_mels"),
        (lambda: AudioSpikeEncoder(8, 3, dynamic_range_db=0.0), "dynamic_range_db"),
        (lambda: TextSpikeEncoder(0, 8, 3), "vocab_size"),
    ],
)
def test_values_outside_their_range(make, named):
    with pytest.raises(ArgumentError, match=named):
        make()
