"""Batch norm and LIF in plain torch: the definition that every kernel is tested against."""

from __future__ import annotations

import torch
from torch import Tensor

from spikeformer.ops.lif.dynamics import Dynamics, LifState, State, zero_state
from spikeformer.ops.lif.reference import lif_reference


def norm_lif_reference(
    current: Tensor,
    state: State,
    dynamics: Dynamics,
    *,
    weight: Tensor,
    bias: Tensor,
    moments: tuple[Tensor, Tensor] | None,
    eps: float,
    channel_axis: int,
) -> tuple[Tensor, LifState, tuple[Tensor, Tensor]]:
    """Normalise each channel, then step the equations of `lif` through time.

    Args:
        current: Input current, (batch, timesteps, *features).
        state: Membrane, None to start from zero, and adaptation, None if there is none.
        dynamics: What the neurons do.
        weight: Factor of each channel.
        bias: Summand of each channel.
        moments: Mean and variance to normalise by; None takes those of `current`.
        eps: Added to the variance.
        channel_axis: Axis of the channels, at least 2.

    Returns:
        Spikes, the state after the last timestep, and the mean and variance used.
    """
    membrane, adaptation = state
    if membrane is None:
        membrane = zero_state(current)
    wide = current.to(membrane.dtype)
    if moments is None:
        others = [axis for axis in range(current.dim()) if axis != channel_axis]
        variance, mean = torch.var_mean(wide, dim=others, correction=0)
    else:
        mean, variance = (moment.to(wide.dtype) for moment in moments)
    scale = weight * torch.rsqrt(variance + eps)
    shape = [1] * current.dim()
    shape[channel_axis] = -1
    normalised = (wide - mean.view(shape)) * scale.view(shape) + bias.view(shape)
    spikes, final = lif_reference(normalised, (membrane, adaptation), dynamics)
    return spikes.to(current.dtype), final, (mean, variance)
