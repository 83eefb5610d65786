"""What a matrix of accuracies says about continual learning.

Row i of the matrix has the accuracy on every task after training on task i.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spikeformer.error_handling import ArgumentError

Matrix = Sequence[Sequence[float]] | NDArray[np.float64]


def average_accuracy(matrix: Matrix) -> float:
    """Return the mean accuracy over all tasks after the last: `1/T sum_j R[T, j]`.

    Args:
        matrix: Accuracies, shape (tasks, tasks).

    Source: ACC of Lopez-Paz & Ranzato, NeurIPS 2017, arXiv:1706.08840.

    Example:
        >>> average_accuracy([[1.0, 0.5], [0.6, 1.0]])
        0.8
    """
    return float(_square(matrix)[-1].mean())


def forgetting(matrix: Matrix) -> float:
    """Return how much accuracy the earlier tasks have lost since they were known best.

    `1/(T-1) sum_(j<T) max_(i<T) (R[i, j] - R[T, j])`; below 0 where they have gained. Rows before
    a task's own count too, as in the source.

    Args:
        matrix: Accuracies, shape (tasks, tasks), of at least two tasks.

    Source: Chaudhry et al., ECCV 2018, arXiv:1801.10112, equation 3.

    Example:
        >>> round(forgetting([[1.0, 0.5], [0.6, 1.0]]), 2)
        0.4
    """
    accuracies = _square(matrix)
    if len(accuracies) < 2:
        raise ArgumentError("matrix", accuracies.shape, "of at least two tasks")
    return float((accuracies[:-1, :-1].max(axis=0) - accuracies[-1, :-1]).mean())


def _square(matrix: Matrix) -> NDArray[np.float64]:
    accuracies = np.asarray(matrix, dtype=np.float64)
    if accuracies.ndim != 2 or accuracies.shape[0] != accuracies.shape[1] or not accuracies.size:
        raise ArgumentError("matrix", accuracies.shape, "a square matrix of accuracies")
    return accuracies
