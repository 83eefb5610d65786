"""A converted network beside its original."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from spikeformer.conversion import ConversionReport, Evaluation
from spikeformer.runs.results.result import Result


@dataclass(frozen=True)
class ConversionResults(Result):
    """What the convert stage found.

    Attributes:
        pretrained: What was converted: a folder, or a name on the hub.
        evaluation: Both networks on the test split, at each timestep.
        report: What became of every module.
        losses: Losses of the distillation, by epoch.

    Raises:
        ValueError: The evaluation has no timestep.
    """

    file: ClassVar[str] = "results/conversion.json"

    pretrained: str
    evaluation: Evaluation
    report: ConversionReport
    losses: list[float]

    def __post_init__(self) -> None:
        if not self.evaluation.steps:
            raise ValueError("expected figures of at least one timestep, got none")

    @classmethod
    def compares(cls, name: str) -> bool:
        """Whether it tells how good the converted network is."""
        return name not in ("timesteps", "num_samples")

    def numbers(self) -> dict[str, Any]:
        """Return what holds after the last timestep; of a language model perplexities too."""
        last = self.evaluation.last
        language = {}
        if last.perplexity is not None:
            original = self.evaluation.original_perplexity
            language = {"original_perplexity": original, "perplexity": last.perplexity}
        return {
            **language,
            "original_accuracy": self.evaluation.original_accuracy,
            "accuracy": last.accuracy,
            "agreement": last.agreement,
            "events_per_neuron": last.events_per_neuron,
            "timesteps": last.timesteps,
            "num_samples": self.evaluation.num_samples,
        }
