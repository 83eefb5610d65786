"""One test sample, spike by spike."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from spikeformer.runs.results.result import ArrayResult


@dataclass(frozen=True)
class SampleResults(ArrayResult):
    """What happened inside the network for one test sample.

    The file holds arrays: `input` or `input/<name>`, `target`, `prediction`, `output`,
    `spikes/<layer>`, `attention/<layer>` and `version`.

    Attributes:
        inputs: Input arrays by name; a network with a single input has the name "input".
        target: The true class index, value or label vector, if it is known.
        prediction: What the network predicted, in the form of `target`.
        output: Network output, shape (timesteps, classes).
        spikes: 0/1 arrays of shape (timesteps, neurons) by layer name, in network order.
        attention: Share of an attention layer's neurons at a token that fire, over heads and
            timesteps, shape (rows, columns) of tokens of an image, by layer name.

    Raises:
        ValueError: Spikes or attention have other axes.
    """

    file: ClassVar[str] = "results/sample.npz"

    inputs: dict[str, np.ndarray] = field(default_factory=dict)
    target: np.ndarray | None = None
    prediction: np.ndarray | None = None
    output: np.ndarray | None = None
    spikes: dict[str, np.ndarray] = field(default_factory=dict)
    attention: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, train in self.spikes.items():
            if train.ndim != 2:
                raise ValueError(
                    f"expected spikes/{name} of shape (timesteps, neurons), got {train.shape}"
                )
        for name, share in self.attention.items():
            if share.ndim != 2:
                raise ValueError(
                    f"expected attention/{name} of shape (rows, columns), got {share.shape}"
                )

    def to_arrays(self) -> dict[str, Any]:
        """Return the arrays by the names that the file has for them."""
        whole = {"target": self.target, "prediction": self.prediction, "output": self.output}
        return {
            **{
                ("input" if name == "input" else f"input/{name}"): x
                for name, x in self.inputs.items()
            },
            **{name: array for name, array in whole.items() if array is not None},
            **{f"spikes/{name}": train for name, train in self.spikes.items()},
            **{f"attention/{name}": share for name, share in self.attention.items()},
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """Return the sample that a file's arrays stand for."""
        return cls(
            inputs=_named("input", arrays),
            spikes=_named("spikes", arrays),
            attention=_named("attention", arrays),
            **{key: arrays.get(key) for key in ("target", "prediction", "output")},
        )


def _named(kind: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays of a kind by what follows it in their names."""
    return {
        name.removeprefix(f"{kind}/"): array
        for name, array in arrays.items()
        if name == kind or name.startswith(f"{kind}/")
    }
