"""Crop, flip, RandAugment, erasing, mixup and cutmix of image batches, with kornia."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from spikeformer.data.sources import optional_import
from spikeformer.i18n import t


class ImageAugmentation:
    """Augment `(images, labels)` on whatever device they are.

    Args:
        size: (height, width) of the images.
        crop_padding: Zeros around the image before a random crop of `size`.
        crop_scale: Least share of the image that a random part of it has, which is then scaled to
            `size`; 1 takes no part.
        horizontal_flip: Flip each image with probability one half.
        rand_augment: Operations of RandAugment, drawn for each batch.
        rand_magnitude: Their strength, in (0, 1).
        random_erasing: Probability that a rectangle of an image becomes black.
        mixup: Probability that the batch is mixed by mixup.
        cutmix: Probability that it is mixed by cutmix instead.
        mixup_alpha: Each image's weight in a mixup is drawn from Beta(alpha, alpha); 1 is uniform.
        cutmix_alpha: The same for cutmix.
    """

    def __init__(
        self,
        size: tuple[int, int],
        *,
        crop_padding: int,
        crop_scale: float = 1.0,
        horizontal_flip: bool,
        rand_augment: int,
        rand_magnitude: float,
        random_erasing: float,
        mixup: float,
        cutmix: float,
        mixup_alpha: float = 1.0,
        cutmix_alpha: float = 1.0,
    ) -> None:
        kornia = optional_import("kornia.augmentation", t("data.for_augmentation"))
        self.mixup, self.cutmix = mixup, cutmix
        self.per_image = []
        if crop_padding:
            self.per_image.append(kornia.RandomCrop(size, padding=crop_padding))
        if crop_scale < 1:
            self.per_image.append(kornia.RandomResizedCrop(size, scale=(crop_scale, 1.0)))
        if horizontal_flip:
            self.per_image.append(kornia.RandomHorizontalFlip(p=0.5))
        if rand_augment:
            auto = optional_import("kornia.augmentation.auto", t("data.for_augmentation"))
            # kornia counts strength from 1 to 29.
            strength = min(29, max(1, round(30 * rand_magnitude)))
            self.per_image.append(auto.RandAugment(n=rand_augment, m=strength))
        if random_erasing:
            self.per_image.append(kornia.RandomErasing(p=random_erasing))
        self._weights = torch.distributions.Beta(mixup_alpha, mixup_alpha)
        # "Correct" as in the paper: lambda is the share of the image that stays.
        self._cutmix = kornia.RandomCutMixV2(
            data_keys=["input", "class"],
            use_correct_lambda=True,
            beta=torch.tensor(float(cutmix_alpha)),
        )

    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        num_classes: int,
        generator: torch.Generator,
        *,
        mixes: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Return augmented images and the labels, or class weights if batches may be mixed.

        Args:
            images: (batch, channels, height, width) in [0, 1].
            labels: (batch,) int64.
            num_classes: Width of the class weights.
            generator: CPU generator of this batch.
            mixes: False leaves out mixup and cutmix.
        """
        # kornia draws from torch's global CPU stream: lend it one of our own.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator.initial_seed())
            for transform in self.per_image:
                images = transform(images)
            if self.mixup + self.cutmix == 0:
                return images, labels
            if not mixes:
                return images, one_hot(labels, num_classes).to(images.dtype)
            return self._mix(images, labels, num_classes)

    def _mix(self, images: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
        own = one_hot(labels, num_classes).to(images.dtype)
        choice = torch.rand(()).item()
        if choice < self.mixup:
            others = torch.randperm(len(images)).to(images.device)
            shares = self._weights.sample((len(images),)).to(images)
            images = torch.lerp(images, images[others], shares[:, None, None, None])
            return images, torch.lerp(own, own[others], shares[:, None])
        if choice >= self.mixup + self.cutmix:
            return images, own
        images, (mixed,) = self._cutmix(images, labels)
        share_of_other = 1 - mixed[:, 2]
        other = one_hot(mixed[:, 1].long(), num_classes).to(images.dtype)
        return images, torch.lerp(own, other, share_of_other[:, None].to(images.dtype))
