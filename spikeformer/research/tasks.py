"""Tasks that come one after the other, made from one data set."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map
from torch.utils.data import DataLoader, Dataset

from spikeformer.data import Preparation, SpikingDataModule, Splits
from spikeformer.data.sampling import derive_seed
from spikeformer.error_handling import (
    ArgumentError,
    ConfigurationError,
    DataError,
    check_positive_int,
)
from spikeformer.i18n import t

PARTS = ("train", "val", "test")


class TaskSequence(SpikingDataModule):
    """Tasks that come one after the other while training; subclasses say what a task is.

    The epochs of training are shared out evenly: with `trainer.max_epochs=50` and 5 tasks, task 1
    has epochs 0 to 9. Which task an epoch has depends on its number and that of all epochs alone,
    so that a resumed run sees what the uninterrupted run saw. Outside of training the splits hold
    all tasks.

    Args:
        base: Where the samples come from; its augmentation applies too.
        num_tasks: Number of tasks; at least 2.
        replay: Samples of each earlier task that are kept; together they make half of the samples
            of an epoch, however few they are. 0 keeps none.
        joint: Train on all samples of this and of the earlier tasks.
        task_seed: Seed of what is random about the tasks, and of the choice of what is kept.
        batch_size: Samples per batch and process.
        num_workers: Loader processes; None starts as many as the data need.
        seed: Seed of the shuffling and the augmentation.
        in_channels: Channels of the images; here so that model configurations can refer to it.
        image_size: Their (height, width); likewise.
        num_classes: Number of classes; likewise.

    Raises:
        ArgumentError: A value is outside its range.
        DataError: In `setup`, if the data cannot make such tasks.
        ConfigurationError: In `setup`, if the epochs cannot be shared out evenly.

    Source: replay of few samples as Chaudhry et al., 2019, arXiv:1902.10486.
    """

    def __init__(
        self,
        base: SpikingDataModule,
        *,
        num_tasks: int = 5,
        replay: int = 0,
        joint: bool = False,
        task_seed: int = 0,
        batch_size: int = 64,
        num_workers: int | None = None,
        seed: int = 0,
        in_channels: int | None = None,
        image_size: Sequence[int] | None = None,
        num_classes: int | None = None,
    ) -> None:
        super().__init__(batch_size=batch_size, num_workers=num_workers, seed=seed)
        if check_positive_int("num_tasks", num_tasks) < 2:
            raise ArgumentError("num_tasks", num_tasks, "an integer of at least 2")
        for name, value in (("replay", replay), ("task_seed", task_seed)):
            if value < 0:
                raise ArgumentError(name, value, "an integer of at least 0")
        if joint and replay:
            raise ArgumentError("replay", replay, "0 where data.joint=true keeps everything anyway")
        self.base, self.num_tasks = base, num_tasks
        self.replay, self.joint, self.task_seed = replay, joint, task_seed
        self.in_channels, self.image_size = in_channels, image_size
        self._configured_classes = num_classes
        self._members: dict[str, list[Tensor]] = {}
        self._datasets: dict[str, Dataset[Any]] = {}

    @property
    @abstractmethod
    def task_names(self) -> list[str]:
        """What to call each task, after `setup`."""

    @abstractmethod
    def members(self, labels: Tensor, classes: int) -> list[Tensor]:
        """Return the indices of each task's samples among those with these labels."""

    def change(self, inputs: Any, target: Tensor, tasks: Tensor) -> tuple[Any, Tensor]:
        """Return a batch as the tasks of its samples show it; by default as it is."""
        return inputs, target

    def name_classes(self, names: list[str]) -> list[str]:
        """Return the names of the classes that the tasks have, given those of the data."""
        return names

    def prepare_data(self) -> None:
        """Fetch the data."""
        self.base.prepare_data()

    def fitted(self) -> dict[str, Any]:
        """Return what the base took from the training split."""
        return self.base.fitted()

    def use(self, given: Preparation, *, trains: bool = False) -> None:
        """Prepare the data as those of a training were; the classes are those of the tasks."""
        super().use(given, trains=trains)
        self.base.use(replace(given, class_names=[]), trains=trains)

    def data_files(self) -> list[Path]:
        """Return the files of the base."""
        return self.base.data_files()

    def load(self) -> Splits:
        """Return the splits with the samples of all tasks."""
        found = self.base.load()
        self.left_out = self.base.left_out
        for part in PARTS:
            dataset = getattr(found, part)
            if dataset is None:
                continue
            if not isinstance(getattr(dataset, "targets", None), Tensor):
                raise DataError(t("research.no_targets", type=type(dataset).__name__))
            self._datasets[part] = dataset
            self._members[part] = self.members(dataset.targets, len(found.class_names))
            empty = [not len(members) for members in self._members[part]]
            if any(empty):
                raise DataError(t("research.empty_task", task=empty.index(True) + 1, part=part))
        names = self.name_classes(found.class_names)
        if self._configured_classes not in (None, len(names)):
            raise DataError(
                t(
                    "research.other_classes",
                    configured=self._configured_classes,
                    found=len(names),
                )
            )
        parts = {part: self._samples(part, range(self.num_tasks)) for part in self._datasets}
        return Splits(parts["train"], parts.get("val"), parts["test"], names)

    def setup(self, stage: str | None = None) -> None:
        """Load the data, and let Lightning ask for another loader each epoch."""
        super().setup(stage)
        if stage == "fit" and self.trainer is not None:
            epochs = self.trainer.max_epochs or 0
            if epochs < 1 or epochs % self.num_tasks:
                raise ConfigurationError(
                    t(
                        "research.uneven_epochs",
                        epochs=epochs,
                        tasks=self.num_tasks,
                        example=self.num_tasks * max(1, math.ceil(epochs / self.num_tasks)),
                    )
                )
            self.trainer.reload_dataloaders_every_n_epochs = 1  # type: ignore[attr-defined]

    def task_of(self, epoch: int) -> int:
        """Return the number, from 0, of the task that an epoch of training has."""
        epochs = self.trainer.max_epochs if self.trainer is not None else None
        assert epochs is not None
        return min(epoch * self.num_tasks // epochs, self.num_tasks - 1)

    @property
    def current_task(self) -> int | None:
        """The task that is being trained; None outside of training."""
        if self.trainer is None or self.trainer.state.fn != "fit":
            return None
        return self.task_of(self.trainer.current_epoch)

    @property
    def splits(self) -> Splits:
        """The splits of the current task while training; outside of it those of all tasks."""
        everything, task = super().splits, self.current_task
        if task is None:
            return everything
        return Splits(
            self._training(task),
            self._samples("val", [task]) if "val" in self._datasets else None,
            self._samples("test", [task]),
            everything.class_names,
        )

    def loader(self, part: str, task: int) -> DataLoader[Any]:
        """Return one task's samples in order, as they are: part "train", "val" or "test"."""
        return self._loader(self._samples(part, [task]))

    def augment(self, batch: Any, generator: torch.Generator) -> Any:
        """Augment as the base does."""
        return self.base.augment(batch, generator)

    def _samples(self, part: str, tasks: Sequence[int]) -> TaskSamples:
        members = self._members[part]
        return TaskSamples(self, part, [(task, members[task]) for task in tasks])

    def _training(self, task: int) -> TaskSamples:
        """Return a task's training samples, with those of earlier tasks that are kept."""
        members = self._members["train"]
        new = (task, members[task])
        earlier = range(task)
        if self.joint:
            return TaskSamples(self, "train", [*((old, members[old]) for old in earlier), new])
        if not self.replay or not task:
            return TaskSamples(self, "train", [new])
        share = -(-len(members[task]) // task)
        kept = [(old, _repeated(self._kept(old), share)) for old in earlier]
        return TaskSamples(self, "train", [*kept, new])

    def _kept(self, task: int) -> Tensor:
        members = self._members["train"][task]
        generator = torch.Generator().manual_seed(derive_seed(self.task_seed, task))
        return members[torch.randperm(len(members), generator=generator)[: self.replay]]


class TaskSamples(Dataset[Any]):
    """Samples of some tasks, a map-style dataset that hands out whole batches.

    Args:
        sequence: Has the data, and knows how a task shows it.
        part: "train", "val" or "test".
        chosen: Task and indices of samples, for each task.
    """

    def __init__(
        self, sequence: TaskSequence, part: str, chosen: Sequence[tuple[int, Tensor]]
    ) -> None:
        self.dataset: Any = sequence._datasets[part]
        self.change = sequence.change
        self.indices = torch.cat([indices for _, indices in chosen])
        self.tasks = torch.cat([torch.full_like(indices, task) for task, indices in chosen])

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        inputs, target = self.__getitems__([index])
        return tree_map(lambda x: x[0], inputs), target[0]

    def __getitems__(self, positions: Sequence[int]) -> tuple[Any, Tensor]:
        """Return `(inputs, target)` of these positions."""
        chosen = torch.as_tensor(positions)
        inputs, target = self.dataset.__getitems__(self.indices[chosen].tolist())
        return self.change(inputs, target, self.tasks[chosen])


def _repeated(indices: Tensor, length: int) -> Tensor:
    return indices[torch.arange(length) % len(indices)]
