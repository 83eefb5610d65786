"""Images to spikes: a stem of convolutions and a neuron."""

from __future__ import annotations

import pytest
import torch

from spikeformer.error_handling import ArgumentError, SpikingDynamicsError
from spikeformer.multimodal import VisionSpikeEncoder
from spikeformer.neurons import LifNeuron


def test_vision_encoder_is_its_stem_and_a_neuron():
    encoder = VisionSpikeEncoder(8, 3, strides=[2]).eval()
    images = torch.rand(2, 3, 6, 4)
    currents = encoder.stem(images.unsqueeze(1).expand(-1, 3, -1, -1, -1))
    torch.testing.assert_close(encoder.encode(images), LifNeuron()(currents))


def test_vision_encoder_has_a_token_for_each_place_row_by_row():
    encoder = VisionSpikeEncoder(8, 2, in_channels=1, strides=[2], threshold=0.01).eval()
    image = torch.zeros(1, 1, 8, 6)
    before = encoder.encode(image)
    image[0, 0, 7, 0] = 50.0  # the lower left corner: the last row's first token
    changed = (encoder.encode(image) != before).any(dim=3).any(dim=1).view(4, 3)
    assert changed.any()
    assert not changed[:2].any()
    assert not changed[:, 2].any()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.rand(2, 1, 8, 8), "in_channels=3"),
        (torch.rand(3, 8, 8), "in_channels=3"),
        (torch.ones(2, 3, 8, 8).long(), "int64"),
    ],
)
def test_vision_encoder_refuses_what_are_no_images(x, message):
    with pytest.raises(SpikingDynamicsError, match=message):
        VisionSpikeEncoder(8, 3).encode(x)


def test_vision_encoder_refuses_values_outside_their_range():
    for arguments, named in (((0, 3), "embed_dim"), ((8, 0), "timesteps")):
        with pytest.raises(ArgumentError, match=named):
            VisionSpikeEncoder(*arguments)
    with pytest.raises(ArgumentError, match="in_channels"):
        VisionSpikeEncoder(8, 3, in_channels=0)
