"""Continual learning: every task after each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spikeformer.runs.results.result import Result


@dataclass(frozen=True)
class TaskResults(Result):
    """Accuracies on all tasks after each task of training.

    Attributes:
        tasks: Names of the tasks.
        accuracy: In [0, 1], a row for each task trained, a column for each task tested on.
        average_accuracy: Mean over the tasks after the last one; None before.
        forgetting: Mean loss of accuracy since a task's best; None before the last task.

    Raises:
        ValueError: A row has not one accuracy for each task, or there are more rows than tasks.
    """

    file: ClassVar[str] = "results/tasks.json"

    tasks: list[str]
    accuracy: list[list[float]]
    average_accuracy: float | None = None
    forgetting: float | None = None

    def __post_init__(self) -> None:
        count = len(self.tasks)
        if len(self.accuracy) > count or any(len(row) != count for row in self.accuracy):
            shape = [len(row) for row in self.accuracy]
            raise ValueError(f"expected at most {count} rows of {count}, got rows of {shape}")
