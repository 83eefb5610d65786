"""Recordings that tests make."""

from __future__ import annotations

import numpy as np

from spikeformer.data.events import Recordings


def recordings(*counts: int, height: int = 5, width: int = 7, seed: int = 0) -> Recordings:
    """Random recordings with so many events each, over about 90 ms."""
    random = np.random.default_rng(seed)
    parts = [
        Recordings.of(
            random.integers(width, size=count),
            random.integers(height, size=count),
            random.integers(1000, 90_000, size=count),
            random.integers(2, size=count),
            height=height,
            width=width,
        )
        for count in counts
    ]
    return Recordings.join(parts)
