"""The base of every data module: loaders, seeds and augmentation in one place."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities.seed import pl_worker_init_function
from torch.utils.data import DataLoader, Dataset, default_collate

from spikeformer.caching import TensorCache
from spikeformer.cross_platform import get_platform_info, loader_workers
from spikeformer.data.layout import LeftOut
from spikeformer.data.preparation import Preparation
from spikeformer.data.sampling import EpochSampler, derive_seed
from spikeformer.error_handling import SIGNALS, ArgumentError, DataError, check_positive_int
from spikeformer.i18n import format_number, t


@dataclass
class Splits:
    """What `SpikingDataModule.load` returns.

    Attributes:
        train: Training samples.
        val: Validation samples, or None to validate on nothing.
        test: Test samples.
        class_names: Names of the classes in the order of their numbers; empty if there are none.
    """

    train: Dataset[Any]
    val: Dataset[Any] | None
    test: Dataset[Any]
    class_names: list[str] = field(default_factory=list)


class SpikingDataModule(L.LightningDataModule):
    """Loaders over three splits; subclasses say how to `load` and, if they wish, `augment`.

    A batch is `(inputs, target)`. The order of epoch e depends on `(seed, e)` and the augmentation
    of batch b on `(seed, e, b, rank)`, never on what this process did before, so that a resumed
    run sees what the uninterrupted run saw.

    Args:
        batch_size: Samples per batch and process.
        num_workers: Loader processes; 0 loads in the main process. None takes 0 for data in memory,
            where workers gain nothing, and as many as the machine has cores for, save one, else.
        seed: Seed of the shuffling and the augmentation, at least 0.

    Raises:
        ArgumentError: A value is outside its range.

    Example:
        >>> from spikeformer.data import DigitsDataModule
        >>> data = DigitsDataModule(batch_size=32)
        >>> data.setup()
        >>> images, labels = next(iter(data.train_dataloader()))
        >>> images.shape, labels.shape
        (torch.Size([32, 1, 8, 8]), torch.Size([32]))
    """

    task = "classification"
    cache: TensorCache | None = None
    """Where to keep what was decoded; set before `setup`."""
    given: Preparation | None = None
    """How the data of the network's training were prepared; see `use`."""
    named_split: object | None = None
    """The split of a file that the data are divided by, for a run's record; None has none."""
    trains_on = False
    """Whether a network goes on learning from these data after `use`."""

    def __init__(
        self, *, batch_size: int = 64, num_workers: int | None = None, seed: int = 0
    ) -> None:
        super().__init__()
        self.batch_size = check_positive_int("batch_size", batch_size)
        if num_workers is not None and num_workers < 0:
            raise ArgumentError("num_workers", num_workers, "an integer of at least 0")
        if seed < 0:
            raise ArgumentError("seed", seed, "an integer of at least 0")
        self.num_workers = num_workers
        self.seed = seed
        self.left_out = LeftOut()
        self._splits: Splits | None = None

    def load(self) -> Splits:
        """Read everything and return the three splits; called once per process, by `setup`."""
        raise NotImplementedError(f"{type(self).__name__} must implement load()")

    def augment(self, batch: Any, generator: torch.Generator) -> Any:
        """Return a randomly changed training batch; by default the batch itself.

        Lightning training only: it runs after the transfer to the device, so loops over
        `train_dataloader()` alone see the samples as they are.

        Args:
            batch: `(inputs, target)` on the training device.
            generator: CPU generator, freshly seeded for this batch; the only randomness to use.
        """
        return batch

    @property
    def splits(self) -> Splits:
        """The splits, after `setup`."""
        if self._splits is None:
            raise DataError(t("data.setup_first", module=type(self).__name__))
        return self._splits

    @property
    def class_names(self) -> list[str]:
        """Names of the classes in the order of their numbers; empty if there are none."""
        return self.splits.class_names

    @property
    def num_classes(self) -> int:
        """Number of classes (of the vocabulary, for language modelling)."""
        return len(self.class_names)

    @property
    def preparation(self) -> Preparation:
        """What other data need for a network that was trained on these, after `setup`."""
        return Preparation(class_names=list(self.class_names), **self.fitted())

    def fitted(self) -> dict[str, Any]:
        """Return what `load` took from the training split, as arguments of `Preparation`."""
        return {}

    def use(self, given: Preparation, *, trains: bool = False) -> None:
        """Prepare these data as those were that a network was trained on; before `setup`.

        Classes get the numbers that they had by their names, texts the same tokens, and
        spectrograms the same scale.

        Args:
            given: The `preparation` of the network's training.
            trains: Whether the network is to be trained on with these data: they may have other
                classes then.

        Raises:
            DataError: `setup` has run, and prepared the data in another way.
        """
        if self._splits is not None:
            given.check_same(self.preparation)
        self.given, self.trains_on = given, trains

    def data_files(self) -> list[Path]:
        """Return the files on this machine that the data are read from."""
        return []

    def summary(self) -> str:
        """Return what was found, in one line: splits, classes, and what was left out."""
        splits = self.splits
        counts = [
            f"{name} {format_number(len(part))}"
            for name in ("train", "val", "test")
            if (part := getattr(splits, name)) is not None and hasattr(part, "__len__")
        ]
        told = [t("data.found_samples", splits=", ".join(counts))]
        if names := splits.class_names:
            some = ", ".join([*names[:10], *(["..."] if len(names) > 10 else [])])
            told.append(t("data.found_classes", count=len(names), names=some))
        if self.named_split is not None:
            told.append(t("data.found_split", split=self.named_split))
        if self.left_out:
            told.append(t("data.found_left_out", files=str(self.left_out)))
        return "; ".join(told)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of the data: their `preparation`."""
        return {} if self._splits is None else {"preparation": self.preparation.to_plain()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Prepare the data as those of a checkpoint, or make sure that they are.

        Raises:
            DataError: They are not.
        """
        if "preparation" in state_dict:
            self.use(Preparation.from_plain(state_dict["preparation"]))

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Text of each token id, for people to read; the number itself where there is no text."""
        return [str(token) for token in ids]

    def of_one_size(self, inputs: Any) -> Any:
        """Return the inputs of a batch in the one size that a chip's network takes."""
        return inputs

    def setup(self, stage: str | None = None) -> None:
        """Load the splits, once; every process of a distributed run does this for itself."""
        if self._splits is None:
            self._splits = self.load()
            if self.given is not None and not self.trains_on:
                self.given.check_same(self.preparation)
        if self._splits.val is None and self.trainer is not None:
            # Otherwise Lightning warns, at each fit, that the list of validation loaders is empty.
            self.trainer.limit_val_batches = 0

    def train_dataloader(self) -> DataLoader[Any]:
        """Training batches in the shuffled order of the epoch."""
        dataset: Any = self.splits.train
        shares = (self.trainer and self.trainer.distributed_sampler_kwargs) or {}
        sampler = EpochSampler(len(dataset), self.seed, **shares)
        if self.trainer is not None:
            # A resumed run's workers fetch before Lightning tells the sampler its epoch.
            sampler.set_epoch(self.trainer.current_epoch)
        # Batch norm cannot take a last batch of one sample.
        single = len(sampler) > 1 and len(sampler) % self.batch_size == 1
        return self._loader(dataset, sampler=sampler, drop_last=single)

    def val_dataloader(self) -> DataLoader[Any] | list[DataLoader[Any]]:
        """Validation batches in order; an empty list if there is no validation split."""
        return [] if self.splits.val is None else self._loader(self.splits.val)

    def test_dataloader(self) -> DataLoader[Any]:
        """Test batches in order."""
        return self._loader(self.splits.test)

    def predict_dataloader(self) -> DataLoader[Any]:
        """The test batches again."""
        return self.test_dataloader()

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment the batch if it is one of a training epoch (called by Lightning)."""
        trainer = self.trainer
        if trainer is None or not trainer.training:
            return batch
        # Lightning counts the batch after this hook, so the index read here is the previous one's.
        batch_index = trainer.fit_loop.batch_idx + 1
        seed = derive_seed(self.seed, trainer.current_epoch, batch_index, trainer.global_rank)
        return self.augment(batch, torch.Generator().manual_seed(seed))

    def workers_for(self, dataset: Any) -> int:
        """Return how many loader processes a split gets: what was asked for, or what it needs."""
        if self.num_workers is not None:
            return self.num_workers
        return loader_workers(get_platform_info()) if getattr(dataset, "decodes", False) else 0

    def _loader(self, dataset: Any, **options: Any) -> DataLoader[Any]:
        num_workers = self.workers_for(dataset)
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            num_workers=num_workers,
            collate_fn=as_is if hasattr(dataset, "__getitems__") else default_collate,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=num_workers > 0,
            worker_init_fn=start_worker if num_workers else None,
            # Its own generator: without one the loader draws from the global stream at each
            # epoch, and dropout after a resume would differ.
            generator=torch.Generator().manual_seed(self.seed),
            **options,
        )


def as_is(batch: Any) -> Any:
    """Collate nothing: the dataset's `__getitems__` has made the batch already."""
    return batch


def start_worker(number: int) -> None:
    """Seed a loader process, and let it outlive the signals that ask its run to stop.

    A scheduler sends them to all processes of a run; the main one still finishes its step, for
    which it needs data, and ends its loaders itself. A second SIGTERM ends this one.

    Args:
        number: Which of the loader processes this is.
    """
    pl_worker_init_function(number)  # Lightning would, were there no function of ours
    for asking in SIGNALS:
        signal.signal(asking, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _overhear_once)


def _overhear_once(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
