"""A simulated event camera in front of which still images move, as N-MNIST was recorded."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from spikeformer.data.events.recordings import Array, Recordings
from spikeformer.error_handling import ArgumentError, check_positive, check_positive_int

STEP_MS = 2.5
"""Time between two images that the simulation compares; events lie between them."""
DARK = 0.1
"""What is added to intensities of 0 to 1 before the logarithm: the sensor's own dark current."""
CORNERS = ((-1.0, -1.0), (1.0, 0.0), (-1.0, 1.0), (-1.0, -1.0))
"""Rows and columns between which the three saccades go, in amplitudes."""


def record_saccades(
    images: Array,
    *,
    size: int = 16,
    saccade_ms: float = 100.0,
    amplitude: float = 1.5,
    contrast: float = 0.35,
) -> Recordings:
    r"""Simulate the events of a camera that looks at images in three saccades.

    As in N-MNIST, the camera moves along a triangle, at a constant speed on each side. A pixel has
    the logarithm of its intensity, `L = ln(0.1 + I)`, and compares it with a level r that starts
    at the first L: wherever L comes to `r + contrast` it sends an event of polarity True, at
    `r - contrast` one of polarity False, and r moves there. Between two images of the simulation,
    2.5 ms apart, L is taken as linear in time.

    There is no noise, and nothing is random.

    Args:
        images: (samples, rows, columns), intensities from 0 to 1.
        size: Rows and columns of the sensor; the image fills it but for a margin of `amplitude`.
        saccade_ms: Time for each of the three saccades, in ms.
        amplitude: Half the length of a saccade, in pixels of the sensor.
        contrast: Change of L that is one event.

    Returns:
        One recording for each image, of 3 `saccade_ms`.

    Raises:
        ArgumentError: A value is outside its range.

    Source: Orchard et al., *Converting Static Image Datasets to Spiking Neuromorphic Datasets
    Using Saccades*, 2015, doi:10.3389/fnins.2015.00437; the pixel's model: Rebecq et al., *ESIM*,
    CoRL 2018.
    """
    check_positive_int("size", size)
    check_positive("saccade_ms", saccade_ms)
    check_positive("contrast", contrast)
    if not 0 < amplitude < size / 4:
        raise ArgumentError("amplitude", amplitude, f"above 0 and below a quarter of {size} pixels")
    if images.ndim != 3 or (images.size and not (images.min() >= 0 and images.max() <= 1)):
        raise ArgumentError("images", images.shape, "(samples, rows, columns) from 0 to 1")
    steps = max(1, round(saccade_ms / STEP_MS))
    path = _triangle(steps) * amplitude
    found: list[tuple[Array, Array, Array]] = []
    before = level = _logarithm(images, path[0], size, amplitude)
    step_us = saccade_ms * 1e3 / steps
    for number, camera in enumerate(path[1:]):
        now = _logarithm(images, camera, size, amplitude)
        change = now - level
        fired = np.trunc(change / contrast)
        for count in range(1, int(np.abs(fired).max(initial=0)) + 1):
            (place,) = np.nonzero(np.abs(fired) >= count)
            sign = np.sign(fired[place])
            crossed = level[place] + sign * count * contrast
            share = (crossed - before[place]) / (now[place] - before[place])
            found.append((place, (number + share.clip(0, 1)) * step_us, sign > 0))
        level = level + fired * contrast
        before = now
    return _sorted(found, len(images), size)


def _triangle(steps: int) -> Array:
    """Return places of the camera, so many on each side and the last corner: (places, 2)."""
    corners = np.array(CORNERS)
    sides = [np.linspace(start, stop, steps, endpoint=False) for start, stop in pairwise(corners)]
    return np.concatenate([*sides, corners[-1:]])


def _logarithm(images: Array, offset: Array, size: int, amplitude: float) -> Array:
    """Return the sensor's logarithms of intensity, flattened, with the camera moved by `offset`."""
    rows, columns = (
        _interpolation(length, size, float(moved), amplitude)
        for length, moved in zip(images.shape[1:], offset, strict=True)
    )
    seen = np.einsum("ij,njk,lk->nil", rows, images, columns, optimize=True)
    return np.log(DARK + seen).ravel()


def _interpolation(length: int, size: int, moved: float, margin: float) -> Array:
    """Return the linear interpolation (size, length) of an image's line; 0 outside the image."""
    scale = length / (size - 2 * margin)
    place = (np.arange(size) + 0.5 - margin + moved) * scale - 0.5
    weights: Array = (1 - np.abs(place[:, None] - np.arange(length))).clip(min=0)
    return weights


def _sorted(found: list[tuple[Array, Array, Array]], samples: int, size: int) -> Recordings:
    nothing = (np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool))
    place, time, polarity = map(np.concatenate, zip(nothing, *found, strict=True))
    sample, pixel = np.divmod(place, size * size)
    time = np.rint(time).astype(np.int64)
    order = np.lexsort((pixel, time, sample))
    y, x = np.divmod(pixel[order].astype(np.int16), size)
    ends = np.cumsum(np.bincount(sample, minlength=samples))
    return Recordings(x, y, time[order], polarity[order], ends, size, size)
