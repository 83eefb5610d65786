"""Classification where it is known to which task a sample belongs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikeformer.error_handling import check_positive_int
from spikeformer.training import ClassificationModule

OTHER_TASKS = -1e4
"""Output for the classes of other tasks: finite, so that means over time stay so."""


class TaskIncrementalModule(ClassificationModule):
    """Chooses among the classes of a sample's task; for the outputs this is one head per task.

    The class of a sample implies its task: classes are numbered task by task. Loss and accuracy see
    the outputs of that task's classes alone.

    Args:
        *args: The arguments of `SpikingModule`.
        classes_per_task: Number of classes that each task has.
        **kwargs: The keyword arguments of `SpikingModule`.

    Source: task-incremental learning of van de Ven et al., 2022, doi:10.1038/s42256-022-00568-3.
    """

    def __init__(self, *args: Any, classes_per_task: int = 2, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.classes_per_task = check_positive_int("classes_per_task", classes_per_task)

    def task_outputs(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the outputs with those of other tasks' classes out of the running."""
        classes = torch.arange(outputs.shape[-1], device=outputs.device)
        others = classes // self.classes_per_task != (target // self.classes_per_task)[:, None]
        return outputs.masked_fill(others[:, None], OTHER_TASKS)
