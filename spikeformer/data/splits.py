"""Stratified, seeded splits of sample indices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikeformer.error_handling import ArgumentError

Indices = NDArray[np.int64]


def stratified_draw(labels: Indices, num_drawn: int, seed: int) -> tuple[Indices, Indices]:
    """Draw `num_drawn` samples so that every class keeps its share.

    Each class gives its share rounded down; the samples still missing come from the classes with
    the largest remainders (the lower class first among equals). scikit-learn's stratified splits
    want two samples of each class, and a part of at least one sample of each.

    Args:
        labels: (samples,) class of each sample; constant for a plain random draw.
        num_drawn: How many to draw, from 0 to the number of samples.
        seed: Seed of the draw.

    Returns:
        Sorted indices of the drawn samples and of the remaining ones.
    """
    classes, members = np.unique(labels, return_inverse=True)
    exact = np.bincount(members, minlength=len(classes)) * (num_drawn / max(1, len(labels)))
    counts = np.floor(exact).astype(np.int64)
    for position in np.argsort(counts - exact, kind="stable")[: num_drawn - counts.sum()]:
        counts[position] += 1
    random = np.random.default_rng(seed)
    drawn = [
        random.permutation(np.flatnonzero(members == position))[:count]
        for position, count in enumerate(counts)
    ]
    chosen = np.sort(np.concatenate(drawn)) if drawn else np.empty(0, np.int64)
    rest = np.setdiff1d(np.arange(len(labels)), chosen, assume_unique=True)
    return chosen.astype(np.int64), rest.astype(np.int64)


def stratified_split(labels: Indices, fraction: float, seed: int) -> tuple[Indices, Indices]:
    """Split off `fraction` of the samples, at least one if the fraction is above zero.

    Returns:
        Sorted indices of the part split off and of the remaining part.
    """
    wanted = round(len(labels) * fraction)
    return stratified_draw(labels, max(1, wanted) if fraction > 0 else 0, seed)


def check_fraction(argument: str, value: float) -> float:
    """Return `value` if it lies in [0, 1), else raise `ArgumentError`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ArgumentError(argument, value, "a fraction from 0 to below 1")
    return value
