"""Direct coding: the value itself, as a current, at every timestep."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from spikeformer.encoding.base import SpikeEncoder


class DirectCoding(SpikeEncoder):
    """Presents the value as a constant current and lets the first layer's neurons fire.

    The most accurate coding at few timesteps: nothing is lost before the first layer. The result
    is a view without copies, `x` expanded along time.

    Source: Rueckauer et al., 2017, doi:10.3389/fnins.2017.00682; Kim et al., *Rate Coding or
    Direct Coding*, ICASSP 2022, arXiv:2202.03133.
    """

    valid_range: ClassVar[tuple[float, float]] = (-torch.inf, torch.inf)
    constant: ClassVar[bool] = True

    def spikes(self, x: Tensor) -> Tensor:
        """Return `x` repeated along a new axis 1, as a view."""
        return x.unsqueeze(1).expand(-1, self.timesteps, *x.shape[1:])
