"""Log-mel spectrograms in plain torch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spikeformer.error_handling import ArgumentError, check_positive_int

FLOOR_POWER = 1e-10


def mel_filters(sample_rate: int, n_fft: int, num_mels: int) -> Tensor:
    """Triangular filters, equally wide on the mel scale, that sum bins of a power spectrum.

    m(f) = 2595 log10(1 + f / 700); filter i rises from point i to 1 at point i + 1 and falls to 0
    at point i + 2 of `num_mels + 2` points equally far apart in m from 0 to `sample_rate` / 2.

    Args:
        sample_rate: Samples per second.
        n_fft: Window length in samples.
        num_mels: Number of filters.

    Returns:
        (num_mels, n_fft // 2 + 1) weights in [0, 1].

    Raises:
        ArgumentError: A filter is so narrow that no frequency bin falls into it.

    Example:
        >>> mel_filters(8000, 256, 32).shape
        torch.Size([32, 129])
    """
    top = 2595 * math.log10(1 + sample_rate / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, num_mels + 2, dtype=torch.float64) / 2595) - 1)
    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    filters = torch.minimum(rise, fall).clamp(min=0)
    if (filters.sum(1) == 0).any():
        raise ArgumentError(
            "num_mels", num_mels, f"few enough for the {n_fft // 2 + 1} bins of n_fft={n_fft}"
        )
    return filters.float()


def log_mel(
    waveforms: Tensor, *, sample_rate: int, n_fft: int = 256, hop_length: int = 100,
    num_mels: int = 32,
) -> Tensor:  # fmt: skip
    """Log-mel power of waveforms in decibels.

    With X the Hann-windowed Fourier transform of frame t, which starts at sample t * hop_length:
    S[m, t] = 10 log10(max(sum_f filters[m, f] |X[f, t]|^2, 1e-10)). Frames are not padded.

    Args:
        waveforms: (batch, samples), samples >= n_fft.
        sample_rate: Samples per second.
        n_fft: Frame length in samples.
        hop_length: Samples from one frame to the next.
        num_mels: Number of mel bands.

    Returns:
        (batch, num_mels, frames) in dB, frames = 1 + (samples - n_fft) // hop_length.

    Raises:
        ArgumentError: A number is not positive, or the waveforms are shorter than one frame.

    Example:
        >>> log_mel(torch.zeros(2, 1256), sample_rate=8000).shape
        torch.Size([2, 32, 11])
    """
    check_positive_int("hop_length", hop_length)
    if waveforms.shape[-1] < n_fft:
        raise ArgumentError("waveforms", tuple(waveforms.shape), f"at least n_fft={n_fft} long")
    spectrum = torch.stft(
        waveforms,
        n_fft,
        hop_length,
        window=torch.hann_window(n_fft, device=waveforms.device),
        center=False,
        return_complex=True,
    )
    filters = mel_filters(sample_rate, n_fft, num_mels).to(waveforms.device)
    power = filters @ spectrum.abs().square()
    return 10 * power.clamp(min=FLOOR_POWER).log10()
