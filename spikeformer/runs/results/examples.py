"""Test samples to look at: the most confident errors, then the least certain right ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spikeformer.runs.results.result import ArrayResult


@dataclass(frozen=True)
class ExampleResults(ArrayResult):
    """Some test samples with what the network predicted.

    Attributes:
        inputs: Images of shape (samples, channels, height, width), two channels being events, or
            texts of shape (samples,).
        targets: True class indices, shape (samples,).
        predictions: Predicted class indices, shape (samples,).
        confidences: Softmax of the output, averaged over time, for the predicted class.

    Raises:
        ValueError: There is not one of each for every sample, or inputs are of another kind.
    """

    file: ClassVar[str] = "results/examples.npz"

    inputs: np.ndarray
    targets: np.ndarray
    predictions: np.ndarray
    confidences: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.inputs)
        for name in ("targets", "predictions", "confidences"):
            shape = getattr(self, name).shape
            if shape != (count,):
                raise ValueError(f"expected {name} of shape ({count},), got {shape}")
        if self.inputs.ndim != (1 if self.inputs.dtype.kind == "U" else 4):
            raise ValueError(
                f"expected images or texts, got {self.inputs.dtype} of shape {self.inputs.shape}"
            )
