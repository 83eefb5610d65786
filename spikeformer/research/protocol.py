"""The callback that leads training through a sequence of tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from spikeformer.error_handling import ConfigurationError
from spikeformer.i18n import t
from spikeformer.research.scores import average_accuracy, forgetting
from spikeformer.research.tasks import TaskSequence
from spikeformer.runs import RunFolder, TaskResults
from spikeformer.training import SpikingModule
from spikeformer.training.losses import predicted_class


def task_sequence(trainer: L.Trainer, asker: str) -> TaskSequence:
    """Return the trainer's data, if it is a sequence of tasks; else raise `ConfigurationError`."""
    data = getattr(trainer, "datamodule", None)
    if not isinstance(data, TaskSequence):
        raise ConfigurationError(t("research.needs_tasks", asker=asker, type=type(data).__name__))
    return data


class TaskProtocol(L.Callback):
    """Tests on every task when one ends, and prepares the network for the next.

    Writes `results/tasks.json`, the matrix of accuracies with average accuracy and forgetting, and
    after each task its weights, `checkpoints/task-<number>.ckpt`. The rows so far are part of every
    checkpoint.

    Args:
        reset_optimizer: Begin each task with fresh moments of the gradient.
        freeze_norm: Let batch norm normalise by the first task's statistics from the second task
            on. Otherwise the later tasks' statistics take their place, and the network forgets
            though no weight moves.
    """

    def __init__(self, *, reset_optimizer: bool = True, freeze_norm: bool = True) -> None:
        self.reset_optimizer, self.freeze_norm = reset_optimizer, freeze_norm
        self.matrix: list[list[float]] = []
        self._epochs: int | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse data without tasks."""
        if stage == "fit":
            task_sequence(trainer, "callbacks.task_protocol")
            self._epochs = trainer.max_epochs

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refuse a run whose tasks were shared out otherwise; go on inside an epoch if need be."""
        if self._epochs != trainer.max_epochs:
            epochs = {"before": self._epochs, "now": trainer.max_epochs}
            raise ConfigurationError(t("research.other_epochs", **epochs))
        self._freeze_norms(trainer, pl_module)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the task before, if this epoch begins another."""
        data = task_sequence(trainer, "callbacks.task_protocol")
        task = data.task_of(trainer.current_epoch)
        # A task is closed when the next begins, not when its own last epoch ends: checkpoints are
        # written in between, and a run resumed from one has it still to do.
        if len(self.matrix) < task:
            self._close(trainer, pl_module)
            if self.reset_optimizer:
                for optimizer in trainer.optimizers:
                    optimizer.state.clear()
        self._freeze_norms(trainer, pl_module)

    def _freeze_norms(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        data = task_sequence(trainer, "callbacks.task_protocol")
        if self.freeze_norm and data.task_of(trainer.current_epoch):
            for module in pl_module.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the last task."""
        data = task_sequence(trainer, "callbacks.task_protocol")
        finished = trainer.current_epoch >= (trainer.max_epochs or 0)
        if finished and len(self.matrix) < data.num_tasks:
            self._close(trainer, pl_module)

    def _close(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        data = task_sequence(trainer, "callbacks.task_protocol")
        module = cast(SpikingModule, pl_module)
        self.matrix.append(
            [accuracy_on(module, data, task, trainer) for task in range(data.num_tasks)]
        )
        number = len(self.matrix)
        folder = Path(trainer.default_root_dir)
        trainer.save_checkpoint(folder / "checkpoints" / f"task-{number}.ckpt", weights_only=True)
        if trainer.is_global_zero:
            complete = number == data.num_tasks
            TaskResults(
                tasks=list(data.task_names),
                accuracy=self.matrix,
                average_accuracy=average_accuracy(self.matrix) if complete else None,
                forgetting=forgetting(self.matrix) if complete else None,
            ).save(RunFolder(folder))

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far, and the epochs that the tasks share."""
        return {"matrix": self.matrix, "epochs": self._epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the rows of the run that is resumed."""
        self.matrix = list(state_dict["matrix"])
        self._epochs = state_dict["epochs"]


@torch.no_grad()
def accuracy_on(module: SpikingModule, data: TaskSequence, task: int, trainer: L.Trainer) -> float:
    """Return the share of a task's test samples that the network gets right."""
    modes: dict[nn.Module, bool] = {part: part.training for part in module.modules()}
    module.eval()
    right = total = 0
    for batch in data.loader("test", task):
        inputs, target = trainer.strategy.batch_to_device(batch)
        outputs = module.task_outputs(module(inputs), target)
        right += int((predicted_class(outputs) == target).sum())
        total += len(target)
    for part, training in modes.items():
        part.training = training
    return right / total
