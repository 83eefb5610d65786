"""What all data modules of events share: representation, augmentation, cache."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor

from spikeformer.caching import content_key
from spikeformer.data.columns import check_classes
from spikeformer.data.datamodule import SpikingDataModule
from spikeformer.data.datasets import TensorBatches
from spikeformer.data.events.augmentation import EventAugmentation
from spikeformer.data.events.recording_augmentation import RecordingBatches
from spikeformer.data.events.recordings import Recordings
from spikeformer.data.events.representation import Representation
from spikeformer.error_handling import ArgumentError, check_positive_int


class EventOptions(TypedDict, total=False):
    """Keyword arguments that every `EventDataModule` takes; documented there."""

    representation: str
    timesteps: int
    image_size: Sequence[int]
    in_channels: int
    duration_ms: float | None
    tau_ms: float
    max_shift: int
    horizontal_flip: bool
    geometric: float
    drop: float
    time_cutmix: float
    roll: int
    augment_events: bool
    num_classes: int | None
    batch_size: int
    num_workers: int | None
    seed: int


class EventDataModule(SpikingDataModule):
    """Recordings as (batch, timesteps, in_channels, height, width), for networks of as many steps.

    Args:
        representation: "time", "count", "spikes", "voxel" or "surface": see `Representation`, whose
            arguments the next five are.
        timesteps: Steps of a sample, which are the network's.
        image_size: (height, width) of a frame; events of a larger sensor are binned.
        in_channels: 2 keeps polarities apart, 1 puts them together.
        duration_ms: Time from a recording's first event that the steps divide, in ms; None takes
            the length of each recording.
        tau_ms: Time constant of the representation "surface", in ms.
        max_shift: Training samples move by up to this many pixels each way.
        horizontal_flip: Flip half of the training samples left to right.
        geometric: Probability that a training sample is turned, sheared or scaled.
        drop: Probability of EventDrop for a training sample.
        time_cutmix: Probability that a stretch of time of a training sample is that of another.
            If it is above 0, training targets are class weights, float (batch, num_classes).
        roll: As `max_shift`, but what leaves at an edge comes in at the other.
        augment_events: Let `drop` and `time_cutmix` act on single events, of which the training
            split's stay in memory with 13 bytes each, and not on frames.
        num_classes: Number of classes, checked against the data; None takes what they have.
        batch_size: Samples per batch and process.
        num_workers: Loader processes; None takes none, as all frames lie in memory.
        seed: Seed of the shuffling and the augmentation.

    Raises:
        ArgumentError: A value is outside its range.
    """

    def __init__(
        self,
        *,
        representation: str = "time",
        timesteps: int = 10,
        image_size: Sequence[int] = (34, 34),
        in_channels: int = 2,
        duration_ms: float | None = None,
        tau_ms: float = 30.0,
        max_shift: int = 0,
        horizontal_flip: bool = False,
        geometric: float = 0.0,
        drop: float = 0.0,
        time_cutmix: float = 0.0,
        roll: int = 0,
        augment_events: bool = False,
        num_classes: int | None = None,
        batch_size: int = 64,
        num_workers: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size=batch_size, num_workers=num_workers, seed=seed)
        size = tuple(image_size)
        if len(size) != 2:
            raise ArgumentError("image_size", list(size), "[height, width], each at least 1")
        if in_channels not in (1, 2):
            expected = "2 (polarities apart) or 1 (polarities together)"
            raise ArgumentError("in_channels", in_channels, expected)
        self.representation = Representation(
            representation, timesteps, *size, in_channels == 2, duration_ms, tau_ms
        )
        self.augmentation = EventAugmentation(
            max_shift=max_shift,
            roll=roll,
            horizontal_flip=horizontal_flip,
            geometric=geometric,
            drop=drop,
            time_cutmix=time_cutmix,
        )
        if augment_events and num_workers:
            expected = "null or 0 with augment_events=true: the events lie in this process's memory"
            raise ArgumentError("num_workers", num_workers, expected)
        self.augment_events = augment_events
        if num_classes is not None:
            check_positive_int("num_classes", num_classes)
        self.configured_classes = num_classes

    @property
    def num_classes(self) -> int:
        """Number of classes: as configured, else as found by `setup`."""
        return self.configured_classes or len(self.class_names)

    @property
    @abstractmethod
    def where(self) -> str:
        """The data's place, for messages."""

    def augment(self, batch: Any, generator: torch.Generator) -> Any:
        """Move, flip, thin out and mix the samples."""
        events, labels = batch
        augmentation = self.augmentation
        if self.augment_events:  # which `RecordingBatches` has dropped and mixed
            augmentation = replace(augmentation, drop=0.0, time_cutmix=0.0)
        return augmentation(events, labels, self.num_classes, generator)

    def frames(self, source: Any, record: Callable[[], Recordings]) -> Tensor:
        """Return the frames of recordings, from the cache if they are there.

        Args:
            source: What the recordings depend on, for `content_key`.
            record: Reads or makes the recordings.
        """

        def compute() -> Tensor:
            return self.representation(record())

        if self.cache is None:
            return compute()
        how = (vars(self.representation), type(self.representation).__call__)
        return self.cache.tensor_or_compute(content_key(source, how), compute)

    def batches(self, frames: Tensor, labels: Tensor) -> TensorBatches:
        """Return frames with the classes of their samples as a data set."""
        return TensorBatches(frames, labels, unit=1.0)

    def training_batches(
        self, frames: Tensor, labels: Tensor, record: Callable[[], Recordings]
    ) -> TensorBatches:
        """Return the training split; with `augment_events` it keeps the events of its frames."""
        if not self.augment_events:
            return self.batches(frames, labels)
        events = record().resized(self.representation.height, self.representation.width)
        small = replace(events, x=events.x.astype(np.int16), y=events.y.astype(np.int16))
        return RecordingBatches(
            frames,
            labels,
            small,
            self.representation,
            drop=self.augmentation.drop,
            time_cutmix=self.augmentation.time_cutmix,
            classes=lambda: self.num_classes,
            seeds=self._training_seeds,
        )

    def _training_seeds(self) -> tuple[int, int] | None:
        trainer = self.trainer
        if trainer is None or not trainer.training:
            return None
        return self.seed, trainer.current_epoch

    def check_classes(self, names: list[str]) -> None:
        """Refuse another number of classes than the configuration says."""
        check_classes(self.configured_classes, names, self.where)
