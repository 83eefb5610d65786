"""Images from the hub, from parquet or from a folder with one folder per class."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any, Unpack

import torch
from torch.utils.data import Dataset

from spikeformer.data.cached import through_cache
from spikeformer.data.datasets import TensorBatches
from spikeformer.data.decode import MODES, DecodedBatches, ImageDecoder, Look, decode_image
from spikeformer.data.image_augmentation import ImageAugmentation
from spikeformer.data.pictures import BACKGROUNDS, BIT_DEPTHS, eight_bits
from spikeformer.data.tables import Part, TableDataModule, TableOptions
from spikeformer.error_handling import (
    ArgumentError,
    check_choice,
    check_interval,
    check_positive,
    check_positive_int,
)


class ImageDataModule(TableDataModule):
    """Images, (batch, in_channels, height, width) in [0, 1].

    Images of another size are scaled to cover `image_size` and cropped about their centre; of
    files with several pictures the first counts. Images are decoded once, into memory, as long as
    they fit in `memory_limit_gib`.

    Args:
        image_key: Column of the images; None finds it by its type.
        image_size: (height, width) in pixels.
        in_channels: 3 for colour, 1 for grey (colour images become grey).
        bit_depth: Bits that images stored in 16 use of them: 10, 12, 14 or 16. None takes the
            file's word, and refuses images that are too dark to have been taken with 16.
        background: "white" or "black": what shows where images are transparent.
        crop_padding: Training images are padded by this many pixels and cropped back at random.
        crop_scale: Random parts of the training images, of at least this share of their area and
            sides between 3:4 and 4:3, are scaled to `image_size`; in (0, 1], 1 takes none.
        horizontal_flip: Flip half of the training images left to right.
        rand_augment: Operations of RandAugment (Cubuk et al. 2020) on each training batch; 0 for
            none.
        rand_magnitude: Their strength, in (0, 1).
        random_erasing: Probability that a rectangle of a training image becomes black (Zhong et
            al. 2020).
        mixup: Probability that a training batch is mixed by mixup (Zhang et al. 2018).
        cutmix: Probability that it is mixed by cutmix instead (Yun et al. 2019); with `mixup` at
            most 1. If either is above 0, training targets are class weights, float
            (batch, num_classes) with rows that sum to one.
        mixup_alpha: The weight of each image in a mixup is drawn from Beta(alpha, alpha); 1 is
            uniform.
        cutmix_alpha: The same for the share of the image in cutmix.
        mix_epochs: Epochs from the start in which batches are mixed; None is all.
        memory_limit_gib: Decoded images of a split above this many GiB stay encoded and are
            decoded by the loaders' workers.
        **table: The arguments of `TableDataModule`.

    Raises:
        ArgumentError: A value is outside its range.
        DataError: In `setup`, if the data is absent, unreadable or not what the keys say.
        MissingDependencyError: `datasets`, `pillow` or (for augmentation) `kornia` is missing.

    Example:
        >>> data = ImageDataModule(source="uoft-cs/cifar10", num_classes=10, crop_padding=4)
        >>> data.num_classes
        10
    """

    def __init__(
        self,
        *,
        image_key: str | None = None,
        image_size: Sequence[int] = (32, 32),
        in_channels: int = 3,
        bit_depth: int | None = None,
        background: str = "white",
        crop_padding: int = 0,
        crop_scale: float = 1.0,
        horizontal_flip: bool = False,
        rand_augment: int = 0,
        rand_magnitude: float = 0.9,
        random_erasing: float = 0.0,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        mixup_alpha: float = 1.0,
        cutmix_alpha: float = 1.0,
        mix_epochs: int | None = None,
        memory_limit_gib: float = 4.0,
        **table: Unpack[TableOptions],
    ) -> None:
        super().__init__(**table)
        size = tuple(image_size)
        if len(size) != 2 or min(size) < 1:
            raise ArgumentError("image_size", list(size), "[height, width], each at least 1")
        if in_channels not in MODES:
            raise ArgumentError("in_channels", in_channels, "1 (grey) or 3 (colour)")
        if bit_depth not in (None, *BIT_DEPTHS):
            expected = f"null or one of {', '.join(map(str, BIT_DEPTHS))}"
            raise ArgumentError("bit_depth", bit_depth, expected)
        self.bit_depth = bit_depth
        self.background = check_choice("background", background, BACKGROUNDS)
        if crop_padding < 0:
            raise ArgumentError("crop_padding", crop_padding, "an integer of at least 0")
        if not 0 < crop_scale <= 1:
            raise ArgumentError("crop_scale", crop_scale, "a number above 0, at most 1")
        if rand_augment < 0:
            raise ArgumentError("rand_augment", rand_augment, "an integer of at least 0")
        if not 0 < rand_magnitude < 1:
            raise ArgumentError("rand_magnitude", rand_magnitude, "a number between 0 and 1")
        check_interval("random_erasing", random_erasing, 0, 1)
        check_interval("mixup", mixup, 0, 1)
        check_interval("cutmix", cutmix, 0, 1)
        if mixup + cutmix > 1:
            raise ArgumentError("cutmix", cutmix, f"at most 1 - mixup = {1 - mixup:g}")
        self.image_key, self.image_size, self.in_channels = image_key, size, in_channels
        self.crop_padding, self.crop_scale = crop_padding, crop_scale
        self.horizontal_flip = horizontal_flip
        self.rand_augment, self.rand_magnitude = rand_augment, rand_magnitude
        self.random_erasing = random_erasing
        self.mixup, self.cutmix = mixup, cutmix
        self.mixup_alpha = check_positive("mixup_alpha", mixup_alpha)
        self.cutmix_alpha = check_positive("cutmix_alpha", cutmix_alpha)
        if mix_epochs is not None:
            check_positive_int("mix_epochs", mix_epochs)
        self.mix_epochs = mix_epochs
        self.memory_limit_gib = check_positive("memory_limit_gib", memory_limit_gib)

    def build(self, parts: dict[str, Part]) -> dict[str, Dataset[Any]]:
        """Decode the images of each part."""
        if self._augments:
            _ = self._augmentation  # a missing package shows before minutes of decoding
        column = parts["train"].column("image", self.image_key)
        return {name: self._build(part, column) for name, part in parts.items()}

    def augment(self, batch: Any, generator: torch.Generator) -> Any:
        """Crop, flip and mix the batch; mixing turns its targets into class weights."""
        if not self._augments:
            return batch
        images, labels = batch
        mixes = self.mix_epochs is None or (
            self.trainer is None or self.trainer.current_epoch < self.mix_epochs
        )
        return self._augmentation(images, labels, self.num_classes, generator, mixes=mixes)

    def _build(self, part: Part, column: str) -> Dataset[Any]:
        height, width = self.image_size
        look = Look(self.in_channels, (height, width), self.bit_depth, self.background)
        decoder = ImageDecoder(part, column, look, self.left_out)
        targets = torch.from_numpy(part.labels)
        if len(decoder) * self.in_channels * height * width > self.memory_limit_gib * 2**30:
            return DecodedBatches(decoder, targets)
        how = (decode_image, eight_bits, vars(look), version("pillow"))
        images = through_cache(self.cache, decoder.table, column, part.roots, how, decoder.all)
        return TensorBatches(images, targets)

    @property
    def _augments(self) -> bool:
        crops = self.crop_padding or self.crop_scale < 1
        per_image = crops or self.horizontal_flip or self.rand_augment
        return bool(per_image or self.random_erasing or self.mixup or self.cutmix)

    @cached_property
    def _augmentation(self) -> ImageAugmentation:
        return ImageAugmentation(
            (self.image_size[0], self.image_size[1]),
            crop_padding=self.crop_padding,
            crop_scale=self.crop_scale,
            horizontal_flip=self.horizontal_flip,
            rand_augment=self.rand_augment,
            rand_magnitude=self.rand_magnitude,
            random_erasing=self.random_erasing,
            mixup=self.mixup,
            cutmix=self.cutmix,
            mixup_alpha=self.mixup_alpha,
            cutmix_alpha=self.cutmix_alpha,
        )
