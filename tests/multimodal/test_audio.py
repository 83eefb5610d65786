"""Spike encoder of sounds."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from spikeformer.data import log_mel
from spikeformer.error_handling import SpikingDynamicsError
from spikeformer.multimodal import AudioSpikeEncoder
from spikeformer.neurons import LifNeuron

soft = partial(LifNeuron, tau_mem=2.0, surrogate_type="atan")


def test_a_waveform_is_its_log_mel_frames_at_any_volume():
    encoder = AudioSpikeEncoder(8, 3, neuron=soft).eval()
    wave = torch.randn(2, 2000)
    loudness = log_mel(wave, sample_rate=8000)
    for sound, scaled in zip(loudness, encoder.spectrogram(wave), strict=True):
        torch.testing.assert_close(scaled, (1 - (sound.max() - sound) / 80).clamp(min=0))
    torch.testing.assert_close(encoder.spectrogram(0.1 * wave), encoder.spectrogram(wave))
    assert torch.equal(encoder.encode(wave), encoder.encode(encoder.spectrogram(wave)))


def test_silence_is_no_sound():
    encoder = AudioSpikeEncoder(16, 2)
    heard = encoder.spectrogram(torch.stack([torch.zeros(2000), torch.randn(2000)]))
    assert float(heard[0].max()) == 0.0
    assert float(heard[1].max()) == 1.0


def test_another_sampling_rate_is_refused_with_the_remedy():
    encoder = AudioSpikeEncoder(8, 3, sample_rate=8000)
    with pytest.raises(SpikingDynamicsError, match=r"8000 samples per second, but got 16000"):
        encoder.encode(torch.rand(1, 1000), sample_rate=16000)
    assert encoder.encode(torch.rand(1, 1000), sample_rate=8000).shape[0] == 1
