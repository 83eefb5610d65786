"""Batch norm and LIF in plain torch: the definition that every kernel is tested against."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikeformer.ops.lif.reference import LifState, lif_reference


def norm_lif_reference(
    current: Tensor,
    state: LifState,
    *,
    weight: Tensor,
    bias: Tensor,
    moments: tuple[Tensor, Tensor] | None,
    eps: float,
    channel_axis: int,
    **neuron: Any,
) -> tuple[Tensor, LifState, tuple[Tensor, Tensor]]:
    """Normalise each channel, then step the equations of `lif` through time.

    Args:
        current: Input current, (batch, timesteps, *features).
        state: Initial state.
        weight: Factor of each channel.
        bias: Summand of each channel.
        moments: Mean and variance to normalise by; None takes those of `current`.
        eps: Added to the variance.
        channel_axis: Axis of the channels, at least 2.
        **neuron: Arguments of `lif_reference`.

    Returns:
        Spikes, the state after the last timestep, and the mean and variance used.
    """
    wide = current.to(state.membrane.dtype)
    if moments is None:
        others = [axis for axis in range(current.dim()) if axis != channel_axis]
        variance, mean = torch.var_mean(wide, dim=others, correction=0)
    else:
        mean, variance = (moment.to(wide.dtype) for moment in moments)
    scale = weight * torch.rsqrt(variance + eps)
    shape = [1] * current.dim()
    shape[channel_axis] = -1
    normalised = (wide - mean.view(shape)) * scale.view(shape) + bias.view(shape)
    spikes, final = lif_reference(normalised, state, **neuron)
    return spikes.to(current.dtype), final, (mean, variance)
