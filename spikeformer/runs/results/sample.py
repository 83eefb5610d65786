"""One test sample, spike by spike."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from spikeformer.files import replacing
from spikeformer.i18n import t
from spikeformer.runs import reading
from spikeformer.runs.layout import RunFolder
from spikeformer.runs.results.result import Result


@dataclass(frozen=True)
class SampleResults(Result):
    """What happened inside the network for one test sample.

    The file holds arrays: `input` or `input/<name>`, `target`, `prediction`, `output`,
    `spikes/<layer>` and `version`.

    Attributes:
        inputs: Input arrays by name; a network with a single input has the name "input".
        target: The true class index, value or label vector, if it is known.
        prediction: What the network predicted, in the form of `target`.
        output: Network output, shape (timesteps, classes).
        spikes: 0/1 arrays of shape (timesteps, neurons) by layer name, in network order.

    Raises:
        ValueError: Spikes have other axes.
    """

    file: ClassVar[str] = "results/sample.npz"

    inputs: dict[str, np.ndarray] = field(default_factory=dict)
    target: np.ndarray | None = None
    prediction: np.ndarray | None = None
    output: np.ndarray | None = None
    spikes: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, train in self.spikes.items():
            if train.ndim != 2:
                raise ValueError(
                    f"expected spikes/{name} of shape (timesteps, neurons), got {train.shape}"
                )

    def save(self, folder: RunFolder) -> None:
        """Write the file in one step."""
        whole = {"target": self.target, "prediction": self.prediction, "output": self.output}
        arrays: dict[str, Any] = {
            "version": np.array(self.version),
            **{
                ("input" if name == "input" else f"input/{name}"): x
                for name, x in self.inputs.items()
            },
            **{name: array for name, array in whole.items() if array is not None},
            **{f"spikes/{name}": train for name, train in self.spikes.items()},
        }
        path = folder.path / self.file
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **arrays)

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
            return cls(
                inputs=_named("input", arrays),
                spikes=_named("spikes", arrays),
                **{key: arrays.get(key) for key in ("target", "prediction", "output")},
            )
        except ValueError as error:
            raise reading.broken(path, t("reporting.kind_arrays"), error) from error


def _key(name: str) -> str:
    return "input" if name == "input" else f"input/{name}"


def _named(kind: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays of a kind by what follows it in their names."""
    return {
        name.removeprefix(f"{kind}/"): array
        for name, array in arrays.items()
        if name == kind or name.startswith(f"{kind}/")
    }
