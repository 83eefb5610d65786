"""Tasks that each have some of the classes."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from spikeformer.data import SpikingDataModule
from spikeformer.error_handling import DataError, check_positive_int
from spikeformer.i18n import t
from spikeformer.research.tasks import TaskSequence


class SplitTasks(TaskSequence):
    """Each task has some of the classes, in their order: 0 and 1, then 2 and 3, and so on.

    With `task=task_incremental` a network chooses among the classes of a sample's task, without
    among all (class-incremental); with `shared_labels` it predicts the place of a class within its
    task, whichever task that is (domain-incremental).

    Args:
        base: Where the samples come from.
        shared_labels: Number the classes within their task.
        classes_per_task: Classes of a task; here so that `task=task_incremental` can refer to it.
        **sequence: The arguments of `TaskSequence`.

    Source: the three scenarios: van de Ven et al., 2022, doi:10.1038/s42256-022-00568-3; split
    tasks: Zenke et al., ICML 2017, arXiv:1703.04200.

    Example:
        >>> from spikeformer.data import DigitsDataModule
        >>> data = SplitTasks(DigitsDataModule())
        >>> data.setup()
        >>> data.task_names
        ['0, 1', '2, 3', '4, 5', '6, 7', '8, 9']
    """

    def __init__(
        self,
        base: SpikingDataModule,
        *,
        shared_labels: bool = False,
        classes_per_task: int = 2,
        **sequence: Any,
    ) -> None:
        super().__init__(base, **sequence)
        self.classes_per_task = check_positive_int("classes_per_task", classes_per_task)
        self.shared_labels = shared_labels
        self._names: list[str] = []

    @property
    def task_names(self) -> list[str]:
        """The names of each task's classes."""
        size = self.classes_per_task
        starts = range(0, self.num_tasks * size, size)
        return [", ".join(self._names[start : start + size]) for start in starts]

    def members(self, labels: Tensor, classes: int) -> list[Tensor]:
        """Return the indices of the samples of each task's classes."""
        wanted = self.classes_per_task * self.num_tasks
        if wanted > classes:
            raise DataError(
                t(
                    "research.too_few_classes",
                    tasks=self.num_tasks,
                    size=self.classes_per_task,
                    wanted=wanted,
                    found=classes,
                )
            )
        return [
            (labels // self.classes_per_task == task).nonzero()[:, 0]
            for task in range(self.num_tasks)
        ]

    def change(self, inputs: Any, target: Tensor, tasks: Tensor) -> tuple[Any, Tensor]:
        """Number classes within their task, if labels are shared."""
        return inputs, target % self.classes_per_task if self.shared_labels else target

    def name_classes(self, names: list[str]) -> list[str]:
        """Return the names, joined where classes share a label."""
        self._names = names
        if not self.shared_labels:
            return names
        size = self.classes_per_task
        return ["/".join(names[label : size * self.num_tasks : size]) for label in range(size)]
