"""Vectorised augmentation of image batches with an explicit generator."""

from __future__ import annotations

import torch
from torch import Tensor


def random_shift(
    images: Tensor, max_rows: int, max_columns: int, generator: torch.Generator
) -> Tensor:
    """Move each image by an integer number of pixels, filling with zeros.

    Args:
        images: (batch, channels, height, width).
        max_rows: Largest move up or down, in pixels; moves are uniform in -max to max.
        max_columns: Largest move left or right, in pixels.
        generator: CPU generator.

    Returns:
        Shifted images, the shape of `images`.

    Example:
        >>> moved = random_shift(torch.ones(2, 1, 8, 8), 1, 1, torch.Generator().manual_seed(0))
        >>> moved.shape
        torch.Size([2, 1, 8, 8])
    """
    batch, _, height, width = images.shape
    padding = (max_columns, max_columns, max_rows, max_rows)
    padded = torch.nn.functional.pad(images, padding)
    top = torch.randint(0, 2 * max_rows + 1, (batch,), generator=generator)
    left = torch.randint(0, 2 * max_columns + 1, (batch,), generator=generator)
    rows = (top[:, None] + torch.arange(height)).to(images.device)
    columns = (left[:, None] + torch.arange(width)).to(images.device)
    samples = torch.arange(batch, device=images.device)[:, None, None]
    # Index arrays around a slice put the channels last.
    moved = padded[samples, :, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2).contiguous()


def random_mask(images: Tensor, axis: int, max_width: int, generator: torch.Generator) -> Tensor:
    """Set one random stripe of each image to zero.

    SpecAugment, Park et al. 2019, doi:10.21437/Interspeech.2019-2680.

    Args:
        images: (batch, channels, height, width).
        axis: 2 masks rows (mel bands), 3 masks columns (frames).
        max_width: Widest stripe; widths are uniform in 0 to max_width.
        generator: CPU generator.

    Returns:
        Masked images, the shape of `images`.

    Example:
        >>> masked = random_mask(torch.ones(2, 1, 8, 8), 3, 4, torch.Generator().manual_seed(0))
        >>> masked.shape
        torch.Size([2, 1, 8, 8])
    """
    batch, length = images.shape[0], images.shape[axis]
    width = torch.randint(0, max_width + 1, (batch,), generator=generator)
    start = (torch.rand(batch, generator=generator) * (length - width + 1)).long()
    position = torch.arange(length)
    inside = (position >= start[:, None]) & (position < (start + width)[:, None])
    shape = [batch, 1, 1, 1]
    shape[axis] = length
    return images.masked_fill(inside.view(shape).to(images.device), 0.0)


def add_noise(
    waveforms: Tensor, snr_db: float | Tensor, generator: torch.Generator | None = None
) -> Tensor:
    r"""Add white Gaussian noise n to each waveform x at a signal-to-noise ratio.

    `snr_db = 10 log10(mean x^2 / mean n^2)`. The mean of the signal is over the recording without
    the zeros behind it; the noise fills the whole length.

    Args:
        waveforms: (batch, samples).
        snr_db: In dB, one number or one for each waveform, (batch,); infinite adds nothing.
        generator: CPU generator; None takes torch's own randomness.

    Returns:
        Noisy waveforms, the shape of `waveforms`.

    Example:
        >>> x = torch.ones(1, 8000)
        >>> noise = add_noise(x, 20.0, torch.Generator().manual_seed(0)) - x
        >>> round(-10 * noise.square().mean().log10().item())
        20
    """
    batch, samples = waveforms.shape
    last = torch.where(waveforms != 0, torch.arange(1, samples + 1, device=waveforms.device), 0)
    power = waveforms.square().sum(1) / last.amax(1).clamp(min=1)
    ratio = torch.as_tensor(snr_db, device=waveforms.device).expand(batch)
    scale = (power / 10 ** (ratio / 10)).sqrt()
    noise = torch.randn(batch, samples, generator=generator).to(waveforms)
    return waveforms + scale[:, None].to(waveforms.dtype) * noise
