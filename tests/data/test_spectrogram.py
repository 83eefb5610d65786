from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann

from spikeformer.data import log_mel, mel_filters
from spikeformer.error_handling import ArgumentError


def mel(frequency):
    return 2595 * np.log10(1 + frequency / 700)


def test_filters_are_triangles_that_sum_to_one_between_their_centres():
    filters = mel_filters(8000, 512, 20).double().numpy()
    frequencies = np.linspace(0, 4000, 257)
    centres = 700 * (10 ** (np.linspace(0, mel(4000), 22)[1:-1] / 2595) - 1)
    inside = (frequencies >= centres[0]) & (frequencies <= centres[-1])
    assert np.allclose(filters[:, inside].sum(0), 1, atol=1e-6)
    assert (filters >= 0).all()
    peaks = frequencies[filters.argmax(1)]
    assert np.abs(peaks - centres).max() <= 4000 / 256


def test_power_agrees_with_scipy():
    wave = np.random.default_rng(0).normal(size=2000).astype(np.float32)
    stft = ShortTimeFFT(hann(256, sym=False), hop=100, fs=8000)
    # Frame p of scipy is centred at sample p * hop; ours starts at t * hop: compare by shifting.
    frames = np.stack([wave[t * 100 : t * 100 + 256] for t in range(18)])
    spectrum = np.fft.rfft(frames * stft.win, axis=1)
    power = mel_filters(8000, 256, 32).numpy() @ (np.abs(spectrum) ** 2).T
    ours = log_mel(torch.from_numpy(wave)[None], sample_rate=8000)[0]
    assert ours.shape == (32, 18)
    assert np.allclose(ours.numpy(), 10 * np.log10(power), atol=1e-3)


@pytest.mark.parametrize("frequency", [300.0, 1000.0, 3000.0])
def test_a_tone_is_loudest_in_its_band(frequency):
    wave = torch.sin(2 * torch.pi * frequency * torch.arange(4000) / 8000)
    bands = log_mel(wave[None], sample_rate=8000)[0].mean(1)
    centres = np.linspace(0, mel(4000), 34)[1:-1]
    assert abs(int(bands.argmax()) - int(np.abs(centres - mel(frequency)).argmin())) <= 1


def test_silence_is_the_floor():
    assert torch.equal(
        log_mel(torch.zeros(1, 500), sample_rate=8000), torch.full((1, 32, 3), -100.0)
    )


def test_ten_times_the_amplitude_is_twenty_decibels():
    wave = torch.randn(1, 1000, generator=torch.Generator().manual_seed(0))
    difference = log_mel(10 * wave, sample_rate=8000) - log_mel(wave, sample_rate=8000)
    assert torch.allclose(difference, torch.tensor(20.0), atol=1e-3)


def test_too_many_bands_or_too_short_waves():
    with pytest.raises(ArgumentError, match="num_mels"):
        mel_filters(8000, 64, 40)
    with pytest.raises(ArgumentError, match="n_fft=256"):
        log_mel(torch.zeros(1, 255), sample_rate=8000)


@pytest.mark.parametrize(("sample_rate", "n_fft", "num_mels"), [(8000, 256, 32), (16000, 512, 40)])
def test_mel_filters_are_those_of_transformers(sample_rate, n_fft, num_mels):
    library = pytest.importorskip("transformers.audio_utils")
    theirs = library.mel_filter_bank(
        n_fft // 2 + 1, num_mels, 0.0, sample_rate / 2, sample_rate, norm=None, mel_scale="htk"
    )
    assert torch.equal(
        mel_filters(sample_rate, n_fft, num_mels), torch.from_numpy(theirs.T).float()
    )
