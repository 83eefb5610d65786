"""The scikit-learn digits: 1,797 images of 8x8 pixels, no download."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from spikeformer.data.augmentation import random_shift
from spikeformer.data.columns import check_classes
from spikeformer.data.datamodule import SpikingDataModule, Splits
from spikeformer.data.datasets import TensorBatches
from spikeformer.data.splits import check_fraction
from spikeformer.error_handling import ArgumentError, DataError
from spikeformer.i18n import t


class DigitsDataModule(SpikingDataModule):
    """Handwritten digits, (batch, 1, 8, 8) in [0, 1], ten classes, split with equal class shares.

    Args:
        batch_size: Samples per batch and process.
        num_workers: Loader processes; None takes none, as all images lie in memory.
        seed: Seed of the shuffling and the augmentation.
        split_seed: Seed of the train/validation/test split, apart from `seed` so that runs with
            different seeds are tested on the same images.
        test_fraction: Part of all images that is the test split.
        val_fraction: Part of the training images that is the validation split; 0 for none.
        max_shift: Training images move by up to this many pixels each way; 0 to 7, 0 for none.
        in_channels: Must be 1; here so that model configurations can refer to it.
        image_size: Must be (8, 8); likewise.
        num_classes: Must be 10; likewise.

    Raises:
        ArgumentError: A value is outside its range.
        DataError: `in_channels`, `image_size` or `num_classes` are not those of the digits.

    Example:
        >>> data = DigitsDataModule()
        >>> data.setup()
        >>> [len(part) for part in (data.splits.train, data.splits.val, data.splits.test)]
        [1293, 144, 360]
    """

    def __init__(
        self,
        *,
        batch_size: int = 64,
        num_workers: int | None = None,
        seed: int = 0,
        split_seed: int = 0,
        test_fraction: float = 0.2,
        val_fraction: float = 0.1,
        max_shift: int = 0,
        in_channels: int = 1,
        image_size: Sequence[int] = (8, 8),
        num_classes: int = 10,
    ) -> None:
        super().__init__(batch_size=batch_size, num_workers=num_workers, seed=seed)
        if not 0 <= max_shift < 8:
            raise ArgumentError("max_shift", max_shift, "an integer from 0 to 7")
        if split_seed < 0:
            raise ArgumentError("split_seed", split_seed, "an integer of at least 0")
        if check_fraction("test_fraction", test_fraction) == 0:
            raise ArgumentError("test_fraction", test_fraction, "above 0")
        self.split_seed, self.max_shift = split_seed, max_shift
        self.test_fraction = test_fraction
        self.val_fraction = check_fraction("val_fraction", val_fraction)
        check_classes(num_classes, [str(digit) for digit in range(10)], t("data.the_digits"))
        for key, value, found in (
            ("in_channels", in_channels, 1),
            ("image_size", list(image_size), [8, 8]),
        ):
            if value != found:
                raise DataError(t("data.digits_have", key=key, value=value, found=found))

    @property
    def num_classes(self) -> int:
        """Ten."""
        return 10

    def load(self) -> Splits:
        """Return the stratified splits as tensors in memory."""
        from sklearn.datasets import load_digits

        bunch = load_digits()
        images = torch.from_numpy(bunch.images / 16.0).float()[:, None]
        labels = bunch.target.astype(np.int64)
        test, pool = self._split(labels, self.test_fraction)
        val, train = self._split(labels[pool], self.val_fraction)

        def part(indices: Any) -> TensorBatches:
            return TensorBatches(images[indices], torch.from_numpy(labels[indices]))

        return Splits(
            train=part(pool[train]),
            val=part(pool[val]) if len(val) else None,
            test=part(test),
            class_names=[str(digit) for digit in range(10)],
        )

    def _split(self, labels: Any, fraction: float) -> tuple[Any, Any]:
        """Draw a part with equal class shares; return its indices and those of the rest."""
        from sklearn.model_selection import train_test_split

        everything = np.arange(len(labels))
        if not fraction:
            return everything[:0], everything
        try:
            rest, part = train_test_split(
                everything, test_size=fraction, stratify=labels, random_state=self.split_seed
            )
        except ValueError as error:
            raise DataError(t("data.digits_too_few", fraction=fraction, reason=error)) from error
        return part, rest

    def augment(self, batch: Any, generator: torch.Generator) -> Any:
        """Shift each image by up to `max_shift` pixels."""
        if not self.max_shift:
            return batch
        images, labels = batch
        return random_shift(images, self.max_shift, self.max_shift, generator), labels
