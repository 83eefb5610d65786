"""LIF in plain torch: the definition that every kernel is tested against.

Axes: b batch, t timesteps, then any feature axes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class LifState(NamedTuple):
    """What a LIF population carries from one call to the next.

    Args:
        membrane: Potential after the last reset, (batch, *features), in units of the threshold;
            float32, or float64 for float64 input.
        adaptation: Adaptation current, of the same shape and dtype; None without adaptation.
    """

    membrane: Tensor
    adaptation: Tensor | None = None


def lif_reference(
    current: Tensor,
    state: LifState,
    *,
    decay: Tensor | float,
    threshold: Tensor | float,
    reset: str,
    detach_reset: bool,
    fire: Callable[[Tensor], Tensor],
    adaptation_decay: Tensor | float | None = None,
    adaptation_strength: Tensor | float = 0.0,
) -> tuple[Tensor, LifState]:
    """Step the equations of `lif` through time, leaving gradients to autograd.

    Args:
        current: Input current, (batch, timesteps, *features).
        state: Initial state; `state.adaptation` must be there if `adaptation_decay` is.
        decay: Factor on the membrane per timestep.
        threshold: Potential at which a neuron fires.
        reset: "subtract" or "zero".
        detach_reset: Whether the reset lets no gradient through the spike.
        fire: Maps v - threshold to spikes and carries the surrogate gradient.
        adaptation_decay: Factor on the adaptation current per timestep.
        adaptation_strength: What one spike adds to the adaptation current.
    """
    membrane, adaptation = state
    spikes_t = []
    for current_b in current.unbind(1):
        membrane = decay * membrane + current_b.to(membrane.dtype)
        if adaptation is not None:
            membrane = membrane - adaptation
        spikes_b = fire(membrane - threshold)
        spikes_t.append(spikes_b)
        resetting = spikes_b.detach() if detach_reset else spikes_b
        if reset == "zero":
            membrane = membrane * (1.0 - resetting)
        else:
            membrane = membrane - threshold * resetting
        if adaptation is not None and adaptation_decay is not None:
            adaptation = adaptation_decay * adaptation + adaptation_strength * spikes_b
    return torch.stack(spikes_t, dim=1).to(current.dtype), LifState(membrane, adaptation)
