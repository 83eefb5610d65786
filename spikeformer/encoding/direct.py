"""Direct coding: the value itself, as a current, at every timestep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from spikeformer.encoding.base import SpikeEncoder
from spikeformer.error_handling import ArgumentError


class DirectCoding(SpikeEncoder):
    """Presents the value as a constant current and lets the first layer's neurons fire.

    The most accurate coding at few timesteps: nothing is lost before the first layer. The result
    is a view without copies, `x` expanded along time.

    Args:
        timesteps: Length of the output, in steps of 1 ms.
        mean: Of each channel of (channels, height, width), subtracted from the values; None for
            values as they are.
        std: Of each channel; the values are divided by it. Given together with `mean`.
        clamp: As for every encoder; all values are valid here.
        backend: Not looked at: no op runs.

    Raises:
        ArgumentError: Only one of `mean` and `std` is given, they differ in length, or a standard
            deviation is not above 0.

    Source: Rueckauer et al., 2017, doi:10.3389/fnins.2017.00682; Kim et al., *Rate Coding or
    Direct Coding*, ICASSP 2022, arXiv:2202.03133.
    """

    valid_range: ClassVar[tuple[float, float]] = (-torch.inf, torch.inf)
    constant: ClassVar[bool] = True

    def __init__(
        self,
        timesteps: int = 32,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        *,
        clamp: bool = False,
        backend: str = "auto",
    ) -> None:
        super().__init__(timesteps, clamp=clamp, backend=backend)
        self.mean = None if mean is None else tuple(mean)
        self.std = None if std is None else tuple(std)
        if len(self.mean or ()) != len(self.std or ()):
            raise ArgumentError("std", std, f"one number for each channel of mean={mean}")
        if any(not deviation > 0 for deviation in self.std or ()):
            raise ArgumentError("std", list(self.std or ()), "numbers above 0")
        # They follow from the arguments: no part of a state dict.
        self.offset: Tensor | None
        self.divisor: Tensor | None
        self.register_buffer("offset", _by_channel(self.mean), persistent=False)
        self.register_buffer("divisor", _by_channel(self.std), persistent=False)

    def values(self, x: Tensor) -> Tensor:
        """Return `x`, (batch, channels, height, width), with its channels normalised if asked."""
        if self.offset is None or self.divisor is None:
            return x
        if x.shape[-3] != len(self.offset):
            raise ArgumentError("mean", self.mean, f"one number for each of {x.shape[-3]} channels")
        return (x - self.offset.to(x.dtype)) * (1 / self.divisor.to(x.dtype))

    def spikes(self, x: Tensor) -> Tensor:
        """Return `x` repeated along a new axis 1, as a view."""
        x = self.values(x)
        return x.unsqueeze(1).expand(-1, self.timesteps, *x.shape[1:])


def _by_channel(numbers: tuple[float, ...] | None) -> Tensor | None:
    return None if not numbers else torch.tensor(numbers).view(-1, 1, 1)
