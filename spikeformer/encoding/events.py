"""Codings for data that have a time axis of their own: their time is the network's time."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from spikeformer.encoding.base import SpikeEncoder
from spikeformer.error_handling import SpikingDynamicsError


class TimedCoding(SpikeEncoder, ABC):
    """Step t of a recording is step t of the network; nothing is repeated.

    Values come as (batch, timesteps, *shape), and go on in the same shape.
    """

    temporal: ClassVar[bool] = True

    def sample_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of one sample with its time axis: (timesteps, *shape)."""
        return self.timesteps, *shape

    def spikes(self, x: Tensor) -> Tensor:
        """Return `x`, if it has as many steps as the network.

        Raises:
            SpikingDynamicsError: It has another number of steps.
        """
        if x.ndim < 2 or x.shape[1] != self.timesteps:
            raise SpikingDynamicsError(
                f"{type(self).__name__} expects (batch, {self.timesteps}, ...), a time axis of as"
                f" many steps as the network has, but got {tuple(x.shape)}. Make {self.timesteps}"
                " frames of each recording, or give the network other timesteps."
            )
        return x


class EventCoding(TimedCoding):
    """Events come in as spikes, 0 or 1, one timestep a step.

    Args:
        timesteps: Steps of a sample, which are the network's.
        clamp: What happens to frames that count several events: False raises, True makes one
            spike of them, min(n, 1).
        backend: Not used: there is nothing to compute.

    Example:
        >>> EventCoding(timesteps=2, clamp=True).encode(torch.tensor([[[0.0, 3.0], [1.0, 0.0]]]))
        tensor([[[0., 1.],
                 [1., 0.]]])
    """

    def spikes(self, x: Tensor) -> Tensor:
        """Return `x`, whose values are 0 or 1.

        Raises:
            SpikingDynamicsError: There are others, or it has another number of steps.
        """
        if not torch.compiler.is_compiling() and bool(((x != 0) & (x != 1)).any()):
            raise SpikingDynamicsError(
                "EventCoding expects spikes, 0 or 1, but got fractions. Represent events as counts,"
                " or let real-valued frames come in as currents with FrameCoding."
            )
        return super().spikes(x)


class FrameCoding(TimedCoding):
    """Frames of real numbers, such as voxel grids, come in as currents that change every step.

    The first layer multiplies then, so that no chip takes them as spikes.

    Args:
        timesteps: Steps of a sample, which are the network's.
        clamp: Without effect: all numbers are valid.
        backend: Not used: there is nothing to compute.
    """

    valid_range: ClassVar[tuple[float, float]] = (-torch.inf, torch.inf)
