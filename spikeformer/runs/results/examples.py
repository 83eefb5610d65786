"""Test samples to look at: the most confident errors, then the least certain right ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from spikeformer.files import replacing
from spikeformer.i18n import t
from spikeformer.runs import reading
from spikeformer.runs.layout import RunFolder
from spikeformer.runs.results.result import Result


@dataclass(frozen=True)
class ExampleResults(Result):
    """Some test samples with what the network predicted.

    Attributes:
        inputs: Images of shape (samples, channels, height, width), or texts of shape (samples,).
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

    def save(self, folder: RunFolder) -> None:
        """Write the file in one step."""
        path = folder.path / self.file
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, version=np.array(self.version), **vars(self))

    @classmethod
    def load(cls, folder: RunFolder) -> Self | None:
        """Read the file; None if it is absent.

        Raises:
            ResultsError: It is of another version, or holds something else.
        """
        path = folder.path / cls.file
        arrays = reading.arrays(path)
        if arrays is None:
            return None
        version = arrays.pop("version", None)
        cls.check_version(None if version is None else version.tolist(), path)
        try:
            return cls(**arrays)
        except (TypeError, ValueError) as error:
            raise reading.broken(path, t("reporting.kind_arrays"), error) from error
