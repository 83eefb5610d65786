"""How images become what a model of `transformers` was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikeformer.error_handling import ConversionError
from spikeformer.i18n import t


class Preprocessing(nn.Module):
    """Scales images in [0, 1] to a size and normalises them as an image processor does.

    ``pixels = (scale * image - shift - mean) / deviation``, channels reversed first where the model
    was trained on BGR.

    Args:
        size: Height and width in pixels.
        mean: Mean of each channel.
        deviation: Standard deviation of each channel.
        scale: What 1.0 is before mean and deviation.
        shift: What is taken away after scaling.
        reverse: Whether the order of channels is turned round.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        size: tuple[int, int],
        mean: list[float],
        deviation: list[float],
        *,
        scale: float = 1.0,
        shift: float = 0.0,
        reverse: bool = False,
    ) -> None:
        super().__init__()
        self.size, self.scale, self.shift, self.reverse = size, scale, shift, reverse
        self.register_buffer("mean", torch.tensor(mean).reshape(-1, 1, 1), persistent=False)
        self.register_buffer(
            "deviation", torch.tensor(deviation).reshape(-1, 1, 1), persistent=False
        )

    @classmethod
    def of(cls, name: str, config: Any) -> Preprocessing:
        """Read a model's image processor.

        Args:
            name: Folder or name of the model.
            config: Its configuration.

        Raises:
            ConversionError: There is none, or it says too little or what the model does not take.
        """
        from transformers.image_processing_base import ImageProcessingMixin

        try:
            # The file itself: the processor's class may need packages that nothing here does.
            values, _ = ImageProcessingMixin.get_image_processor_dict(name)
        except (OSError, ValueError) as error:
            raise ConversionError(t("conversion.no_image_processor", name=name)) from error
        try:
            if _of(config, "num_patches") is not None or "max_num_patches" in values:
                raise ValueError("num_patches")  # takes patches instead of images
            size = _size(config, values)
            channels = _of(config, "num_channels") or 3
            mean, deviation = [0.0] * channels, [1.0] * channels
            if values.get("do_normalize", True):
                mean, deviation = (list(map(float, values[key])) for key in _STATISTICS)
            if not len(mean) == len(deviation) == channels or 0.0 in deviation:
                raise ValueError(f"image_mean {mean}, image_std {deviation}")
            # Processors count from 0 to 255 before they rescale.
            scale = float(values.get("rescale_factor", 1 / 255)) * 255
        except (KeyError, TypeError, ValueError) as error:
            raise ConversionError(
                t("conversion.odd_image_processor", name=name, reason=error)
            ) from error
        return cls(
            size,
            mean,
            deviation,
            scale=scale if values.get("do_rescale", True) else 255.0,
            shift=1.0 if values.get("rescale_offset") else 0.0,
            reverse=bool(values.get("do_flip_channel_order")),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return what the model takes for images (batch, channels, height, width) in [0, 1]."""
        channels = self.mean.shape[0]
        if images.shape[1] == 1 < channels:
            images = images.expand(-1, channels, -1, -1)
        if images.shape[1] != channels:
            raise ConversionError(
                t("conversion.other_channels", expected=channels, found=images.shape[1])
            )
        if images.shape[-2:] != self.size:
            images = F.interpolate(images, self.size, mode="bilinear", antialias=True)
        if self.reverse:
            images = images.flip(1)
        return (self.scale * images - self.shift - self.mean) / self.deviation


_STATISTICS = ("image_mean", "image_std")


def _size(config: Any, values: Mapping[str, Any]) -> tuple[int, int]:
    """Return the size that a model insists on, or else that of its image processor."""
    found = _of(config, "image_size")
    if found is None:
        found = values.get("crop_size") if values.get("do_center_crop") else None
        found = values.get("size") if found is None else found
    if isinstance(found, Mapping):
        edge = found.get("shortest_edge")
        found = (found.get("height", edge), found.get("width", edge))
    height, width = (found, found) if isinstance(found, int) else found
    if not (isinstance(height, int) and isinstance(width, int) and min(height, width) > 0):
        raise ValueError(f"size {found}")
    return height, width


def _of(config: Any, key: str) -> Any:
    """Return an entry of a configuration, or of its part for images."""
    parts = (config, getattr(config, "vision_config", None))
    return next((v for part in parts if (v := getattr(part, key, None)) is not None), None)
