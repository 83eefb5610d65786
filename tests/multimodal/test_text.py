"""Spike encoder of texts."""

from __future__ import annotations

from functools import partial

import torch

from spikeformer.multimodal import TextSpikeEncoder
from spikeformer.neurons import LifNeuron

soft = partial(LifNeuron, tau_mem=2.0, surrogate_type="atan")


def test_padding_of_texts_is_silent_and_changes_nothing():
    encoder = TextSpikeEncoder(20, 8, 3, neuron=soft).eval()
    ids = torch.randint(20, (2, 5))
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    spikes = encoder.encode(ids, mask=mask)
    assert spikes[1, :, 3:].sum() == 0
    assert torch.equal(spikes[1:, :, :3], encoder.encode(ids[1:, :3]))
