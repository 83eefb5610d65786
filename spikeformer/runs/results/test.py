"""The network on data it has not seen."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, ClassVar

import numpy as np

from spikeformer.runs.results.result import Result


@dataclass(frozen=True)
class TestResults(Result):
    """The test stage's measurements over the whole test split.

    Attributes:
        metrics: Scalar metrics by name; fractions lie in [0, 1].
        class_names: Names in the order of the class indices; None without classes.
        confusion_matrix: Counts, shape (classes, classes), rows are the true classes; or None.
        firing_rates: Mean spikes per neuron and timestep, by layer name in network order.
        silent: Fraction of a layer's neurons that never fired, by layer name.
        saturated: Fraction of a layer's neurons that fired at every timestep, by layer name.
        num_samples: Size of the test split, if it is known.
        accuracy_by_timestep: Of classifiers, the accuracy of the output averaged over the first
            1, 2, ... timesteps.

    Raises:
        ValueError: The confusion matrix is not square, or has not one row for each name.
    """

    __test__ = False  # pytest must not collect it by its name
    file: ClassVar[str] = "results/test.json"

    metrics: dict[str, float] = field(default_factory=dict)
    class_names: list[str] | None = None
    confusion_matrix: np.ndarray | None = None
    firing_rates: dict[str, float] = field(default_factory=dict)
    silent: dict[str, float] = field(default_factory=dict)
    saturated: dict[str, float] = field(default_factory=dict)
    num_samples: int | None = None
    accuracy_by_timestep: list[float] | None = None

    def __post_init__(self) -> None:
        matrix, names = self.confusion_matrix, self.class_names
        if matrix is None:
            return
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.dtype.kind not in "iu":
            raise ValueError(f"expected a square matrix of counts, got {matrix.tolist()!r:.80}")
        if names and len(names) != len(matrix):
            raise ValueError(f"expected {len(matrix)} names of classes, got {len(names)}")

    @classmethod
    def compares(cls, name: str) -> bool:
        """Whether it is a metric."""
        return name != "num_samples"

    def numbers(self) -> dict[str, Any]:
        """Return the metrics and the number of samples."""
        return {**self.metrics, "num_samples": self.num_samples}


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share of right predictions, in [0, 1].

    Args:
        right: How many were right.
        total: Of how many; at least 1.

    Example:
        >>> low, high = wilson_interval(355, 360)
        >>> round(low, 3), round(high, 3)
        (0.968, 0.994)
    """
    share, squared = right / total, NormalDist().inv_cdf(0.975) ** 2 / total
    centre = share + squared / 2
    half = math.sqrt(squared * (share * (1 - share) + squared / 4))
    low, high = (centre - half) / (1 + squared), (centre + half) / (1 + squared)
    return low if right else 0.0, high if right < total else 1.0
