"""What every spike encoder shares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from spikeformer.config import Described
from spikeformer.error_handling import SpikingDynamicsError, check_choice, check_positive_int
from spikeformer.ops import BACKENDS


class SpikeEncoder(Described, nn.Module, ABC):
    """Turns a batch of values into a batch of spike trains.

    Args:
        timesteps: Length of the spike trains, in steps of 1 ms.
        clamp: What happens to values outside `valid_range`: False raises, True clamps them.
        backend: Kernel: "auto", "reference", "cpu" or "triton"; for encoders that run an op.
    """

    valid_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    """Values that can be encoded, bounds included."""

    constant: ClassVar[bool] = False
    """True where every timestep is the same, so that the first layer need run only once."""

    temporal: ClassVar[bool] = False
    """True where values come with a time axis of their own, (batch, timesteps, *input_shape)."""

    def __init__(self, timesteps: int = 32, *, clamp: bool = False, backend: str = "auto") -> None:
        super().__init__()
        self.timesteps = check_positive_int("timesteps", timesteps)
        self.clamp = clamp
        self.backend = check_choice("backend", backend, BACKENDS)

    @abstractmethod
    def spikes(self, x: Tensor) -> Tensor:
        """Encode values that are known to lie in `valid_range`."""

    def encode(self, x: Tensor) -> Tensor:
        """Encode a batch of values.

        Args:
            x: Floating-point values, shape (batch, *input_shape), within `valid_range`.

        Returns:
            Tensor of shape (batch, timesteps, *input_shape) and of the dtype of `x`.

        Raises:
            SpikingDynamicsError: `x` is no floating-point tensor, holds NaN, or leaves
                `valid_range` while `clamp` is off.
        """
        if x.ndim < 1 or not x.is_floating_point():
            raise SpikingDynamicsError(
                f"{type(self).__name__} expects floating-point values of shape"
                f" (batch, *input_shape), but got {x.dtype} of shape {tuple(x.shape)}."
            )
        low, high = self.valid_range
        if self.clamp:
            x = x.clamp(low, high)
        if not torch.compiler.is_compiling():
            self._check_values(x, low, high)
        return self.spikes(x)

    def sample_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of one sample, without the batch axis, whose steps have `shape`."""
        return tuple(shape)

    def forward(self, x: Tensor) -> Tensor:
        """Encode a batch of values, as `encode` does."""
        return self.encode(x)

    def _check_values(self, x: Tensor, low: float, high: float) -> None:
        # One comparison finds NaN too, since NaN lies in no interval.
        if x.numel() and not bool(((x >= low) & (x <= high)).all()):
            raise SpikingDynamicsError(
                f"{type(self).__name__} expects values from {low} to {high}, but got values from"
                f" {x.min().item():g} to {x.max().item():g}. Scale the input, or pass clamp=True to"
                " cut it off at the bounds."
            )

    def extra_repr(self) -> str:
        """Return the settings that matter when reading a printed model."""
        return f"timesteps={self.timesteps}"
