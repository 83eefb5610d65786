"""What was found wrong, before training and after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from spikeformer.runs.results.result import Result
from spikeformer.validation import SEVERITIES, ValidationLevel, ValidationResult


@dataclass(frozen=True)
class ValidationResults(Result):
    """What the validate stage found before training.

    Attributes:
        level: How thoroughly it looked.
        results: The findings, in the order of the checks.
    """

    file: ClassVar[str] = "results/validation.json"

    level: ValidationLevel
    results: list[ValidationResult]

    def numbers(self) -> dict[str, Any]:
        """Return the level, and how many findings there are of each severity."""
        counts = {
            level.value: sum(result.level is level for result in self.results)
            for level in SEVERITIES
        }
        return {"level": self.level.value, **counts}


@dataclass(frozen=True)
class TrainedValidationResults(ValidationResults):
    """What the validate stage found after training."""

    file: ClassVar[str] = "results/validation_trained.json"
