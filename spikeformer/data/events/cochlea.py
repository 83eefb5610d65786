"""A model of the cochlea: recordings of sound as spikes of a line of channels."""

from __future__ import annotations

import numpy as np
from scipy import fft

from spikeformer.data.events.recordings import Array, Recordings
from spikeformer.error_handling import ArgumentError, check_positive, check_positive_int

RATE_HZ = 2000
"""Rate at which envelopes are computed and nerve fibres step, in Hz."""
DECAY_MS = 4.0
"""Time constant of a nerve fibre's membrane, in ms."""
COMPRESSION = 0.3
"""Exponent of the envelope, as the ear compresses loudness."""
_CHUNK = 128


def centre_frequencies(channels: int, lowest_hz: float, highest_hz: float) -> Array:
    r"""Return frequencies that are evenly spaced on the scale of equivalent rectangular bandwidths.

    The number of bandwidths below f is `21.4 log10(1 + 0.00437 f)`.

    Args:
        channels: How many.
        lowest_hz: The first.
        highest_hz: The last.

    Source: Glasberg & Moore, 1990, doi:10.1016/0378-5955(90)90170-T.
    """
    low, high = 21.4 * np.log10(1 + 0.00437 * np.array([lowest_hz, highest_hz]))
    scale = np.linspace(low, high, channels)
    frequencies: Array = (10 ** (scale / 21.4) - 1) / 0.00437
    return frequencies


def envelopes(waveforms: Array, sample_rate: int, frequencies: Array) -> Array:
    r"""Return how loud each band of a gammatone filter bank is over time.

    A filter of order 4 about f has the gain `(1 + ((g - f) / b)^2)^-2` at the frequency g, with b
    = 1.019 (24.7 + 0.108 f) Hz. Only its 2,000 Hz about f are kept, which carry all of the
    envelope, the magnitude of the analytic signal.

    Args:
        waveforms: (samples, length).
        sample_rate: In Hz.
        frequencies: Centres of the bands in Hz, (channels,).

    Returns:
        (samples, channels, steps) at 2,000 Hz.

    Source: Patterson et al., 1992, in Auditory Physiology and Perception.
    """
    samples, length = waveforms.shape
    wanted = -(-length * RATE_HZ // sample_rate)
    steps = fft.next_fast_len(wanted)
    size = -(-steps * sample_rate // RATE_HZ)
    spectrum = fft.rfft(waveforms.astype(np.float32), size)
    spacing = sample_rate / size
    # As many bins about a centre as there are steps.
    bins = np.rint(frequencies / spacing).astype(int)[:, None] + np.arange(steps) - steps // 2
    width = 1.019 * (24.7 + 0.108 * frequencies)
    gain = (1 + ((bins * spacing - frequencies[:, None]) / width[:, None]) ** 2) ** -2.0
    inside = (bins > 0) & (bins < spectrum.shape[1])
    gain = (gain * inside).astype(np.float32)
    loudness = np.empty((samples, len(frequencies), wanted), np.float32)
    for band in range(len(frequencies)):
        part = spectrum[:, bins[band].clip(0, spectrum.shape[1] - 1)] * gain[band]
        analytic = fft.ifft(fft.ifftshift(part, axes=1), overwrite_x=True)
        loudness[:, band] = np.abs(analytic[:, :wanted]) * (2 * steps / size)
    return loudness


def cochlea_spikes(
    waveforms: Array,
    *,
    sample_rate: int,
    channels: int = 64,
    lowest_hz: float = 80.0,
    highest_hz: float | None = None,
    sensitivity: float = 0.6,
) -> Recordings:
    r"""Turn sound into spikes of a simulated cochlea, low frequencies first.

    A gammatone filter bank divides a recording into bands (`envelopes`); their loudness e, in units
    of the recording's loudest moment, is compressed, `I = sensitivity (e^0.3 - 0.3)`, and
    drives one leaky integrate-and-fire neuron a band, of 4 ms, threshold 1 and soft reset, in steps
    of 0.5 ms. Nothing is random.

    It stands for what made the Heidelberg sets, a larger model of the ear; it is not that model.

    Args:
        waveforms: (samples, length).
        sample_rate: In Hz.
        channels: Bands.
        lowest_hz: Centre of the lowest band.
        highest_hz: Centre of the highest band; None is 0.45 of the sample rate.
        sensitivity: Current of the loudest band over 0.7.

    Returns:
        Recordings of a sensor of one row and `channels` columns.

    Raises:
        ArgumentError: A value is outside its range.

    Source: after Cramer et al., *The Heidelberg Spiking Data Sets*, 2022,
    doi:10.1109/TNNLS.2020.3044364.
    """
    check_positive_int("sample_rate", sample_rate)
    check_positive_int("channels", channels)
    check_positive("sensitivity", sensitivity)
    highest = 0.45 * sample_rate if highest_hz is None else highest_hz
    if not 0 < lowest_hz < highest < sample_rate / 2:
        expected = f"above 0, and below highest_hz={highest:g} < {sample_rate / 2:g}"
        raise ArgumentError("lowest_hz", lowest_hz, expected)
    frequencies = centre_frequencies(channels, lowest_hz, highest)
    parts = [
        _fired(envelopes(waveforms[first : first + _CHUNK], sample_rate, frequencies), sensitivity)
        for first in range(0, len(waveforms), _CHUNK)
    ]
    if not parts:
        nothing = np.zeros(0, np.int64)
        return Recordings(nothing, nothing, nothing, nothing > 0, nothing, 1, channels)
    return Recordings.join(parts)


def _fired(loudness: Array, sensitivity: float) -> Recordings:
    samples, channels, steps = loudness.shape
    loudest = loudness.max(axis=(1, 2), keepdims=True)
    share = loudness / np.where(loudest > 0, loudest, 1)
    current = sensitivity * (share**COMPRESSION - 0.3)
    decay = np.exp(-1000 / RATE_HZ / DECAY_MS)
    membrane = np.zeros((samples, channels))
    fired = np.zeros((samples, steps, channels), bool)
    for step in range(steps):
        membrane = np.maximum(decay * membrane + current[:, :, step], 0)
        fired[:, step] = membrane >= 1
        membrane -= fired[:, step]
    sample, fired_at, channel = np.nonzero(fired)
    ends = np.cumsum(np.bincount(sample, minlength=samples))
    time = fired_at.astype(np.int64) * (1_000_000 // RATE_HZ)
    brighter = np.ones(len(time), bool)
    return Recordings(channel, np.zeros_like(channel), time, brighter, ends, 1, channels)
