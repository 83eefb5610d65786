"""Fusion that leaves everything to the blocks behind it."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from spikeformer.fusion.base import ModalityFusion
from spikeformer.fusion.modalities import Masks


class ConcatFusion(ModalityFusion):
    """Puts the tokens of all modalities in a row; the blocks behind let them meet.

    There is no weighting between modalities here, so the temperature has no effect. Arguments:
    see `ModalityFusion`.

    Example:
        >>> import torch
        >>> from spikeformer.config import FusionConfig
        >>> fusion = ConcatFusion(FusionConfig(shared_dim=16, timesteps=4), {"a": 8, "b": 5})
        >>> fusion({"a": torch.rand(2, 4, 9, 8), "b": torch.rand(2, 4, 5)}).shape
        torch.Size([2, 4, 10, 16])
    """

    linear_between_neurons: ClassVar[bool] = True

    def mix(self, currents: dict[str, Tensor], masks: Masks) -> dict[str, Tensor]:
        """Return the currents as they are."""
        return currents
