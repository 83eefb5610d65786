"""What training came to, and what the trained network predicts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from spikeformer.runs.results.result import Result


@dataclass(frozen=True)
class FitResults(Result):
    """What the fit stage reached.

    Attributes:
        epochs: Epochs trained.
        steps: Steps of the optimizer.
        seconds: Wall-clock time of the epochs.
        num_parameters: Parameters of the network.
        metrics: The newest of each, such as `train/loss` and `val/accuracy`.
    """

    file: ClassVar[str] = "results/fit.json"

    epochs: int
    steps: int
    seconds: float
    num_parameters: int
    metrics: dict[str, float]

    @classmethod
    def compares(cls, name: str) -> bool:
        """Whether it is the accuracy, the size or the time."""
        return name in ("val/accuracy", "num_parameters", "seconds")

    def numbers(self) -> dict[str, Any]:
        """Return all of it as one level of names."""
        fields = asdict(self)
        metrics = fields.pop("metrics")
        return {**fields, **metrics}


@dataclass(frozen=True)
class PredictionResults(Result):
    """What the predict stage measured; `results/predictions.csv` has every sample.

    Attributes:
        accuracy: Share of samples whose class is right.
        num_samples: Samples sent, one request each.
        samples_per_second: Throughput.
        latency_ms_p50: Median time from request to result, in ms.
        latency_ms_p99: Time within which 99 % of the results came, in ms.
        workers: Workers that predicted.
        batches: Batches into which they joined the requests.
    """

    file: ClassVar[str] = "results/predictions.json"

    accuracy: float
    num_samples: int
    samples_per_second: float
    latency_ms_p50: float
    latency_ms_p99: float
    workers: int
    batches: int

    def numbers(self) -> dict[str, Any]:
        """Return all of it."""
        return asdict(self)
