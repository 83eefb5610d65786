"""Digits before a simulated event camera: no download."""

from __future__ import annotations

from functools import partial
from typing import Unpack

import torch

from spikeformer.data.datamodule import Splits
from spikeformer.data.datasets import TensorBatches
from spikeformer.data.digits import DigitsDataModule
from spikeformer.data.events.camera import record_saccades
from spikeformer.data.events.datamodule import EventDataModule, EventOptions
from spikeformer.error_handling import ArgumentError
from spikeformer.i18n import t


class DigitsDvsDataModule(EventDataModule):
    """The scikit-learn digits as a simulated event camera sees them in three saccades.

    Made as N-MNIST was recorded, but simulated (`record_saccades`): 1,797 recordings of 300 ms and
    about 1,350 events, split as `DigitsDataModule` splits the images. Nothing in it is random.

    Args:
        split_seed: Seed of the train/validation/test split.
        test_fraction: Part of all digits that is the test split.
        val_fraction: Part of the training digits that is the validation split; 0 for none.
        saccade_ms: Time for each of the three saccades, in ms.
        contrast: Change of the logarithm of intensity that is one event.
        **events: The arguments of `EventDataModule`; `image_size` is that of the sensor, a square.

    Raises:
        ArgumentError: A value is outside its range.

    Example:
        >>> data = DigitsDvsDataModule(timesteps=8, image_size=(16, 16))
        >>> data.setup()
        >>> data.splits.train[0][0].shape
        torch.Size([8, 2, 16, 16])
    """

    def __init__(
        self,
        *,
        split_seed: int = 0,
        test_fraction: float = 0.2,
        val_fraction: float = 0.1,
        saccade_ms: float = 100.0,
        contrast: float = 0.35,
        **events: Unpack[EventOptions],
    ) -> None:
        super().__init__(**events)
        if self.representation.height != self.representation.width:
            size = [self.representation.height, self.representation.width]
            raise ArgumentError("image_size", size, "a square, as the sensor is")
        self.saccade_ms, self.contrast = saccade_ms, contrast
        self.images = DigitsDataModule(
            split_seed=split_seed, test_fraction=test_fraction, val_fraction=val_fraction
        )
        self.check_classes([str(digit) for digit in range(10)])

    @property
    def where(self) -> str:
        """The digits."""
        return t("data.the_digits")

    @property
    def num_classes(self) -> int:
        """Ten."""
        return 10

    def load(self) -> Splits:
        """Record the digits, or take the frames from the cache."""
        splits = self.images.load()
        found = [splits.train, splits.val, splits.test]
        parts = [part for part in found if isinstance(part, TensorBatches)]
        images = torch.cat([part.inputs for part in parts])[:, 0].double().numpy()
        record = partial(
            record_saccades,
            size=self.representation.height,
            saccade_ms=self.saccade_ms,
            contrast=self.contrast,
        )
        source = (images, record.func, record.keywords)
        frames = self.frames(source, lambda: record(images))
        sizes = [len(part) for part in parts]
        first, *others = torch.split(frames, sizes)
        train = self.training_batches(first, parts[0].targets, lambda: record(images[: sizes[0]]))
        built = [
            self.batches(part, digits.targets)
            for part, digits in zip(others, parts[1:], strict=True)
        ]
        val = built[0] if splits.val is not None else None
        return Splits(train, val, built[-1], splits.class_names)
