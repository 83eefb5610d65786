"""LIF in plain torch: the definition that every kernel is tested against.

Axes: b batch, t timesteps, then any feature axes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from spikeformer.ops.lif.dynamics import Dynamics, LifState, State, zero_state
from spikeformer.ops.surrogates import spike, spike_count


def lif_reference(current: Tensor, state: State, dynamics: Dynamics) -> tuple[Tensor, LifState]:
    """Step the equations of `lif` through time, leaving gradients to autograd.

    Args:
        current: Input current, (batch, timesteps, *features).
        state: Membrane, None to start from zero, and adaptation, None if there is none.
        dynamics: What the neurons do.
    """
    membrane, adaptation = state
    if membrane is None:
        membrane = zero_state(current)
    decay, threshold, adaptation_decay, adaptation_strength = dynamics.parameters
    spikes_t = []
    for current_b in current.unbind(1):
        membrane = decay * membrane + current_b.to(membrane.dtype)
        if adaptation is not None:
            membrane = membrane - adaptation
        if dynamics.max_spikes:
            spikes_b = spike_count(membrane / threshold, dynamics.max_spikes)
            spikes_t.append(spikes_b / dynamics.max_spikes)
        else:
            spikes_b = spike(membrane - threshold, dynamics.surrogate, dynamics.slope)
            spikes_t.append(spikes_b)
        resetting = spikes_b.detach() if dynamics.detach_reset else spikes_b
        if dynamics.reset == "zero":
            membrane = membrane * (1.0 - resetting)
        else:
            membrane = membrane - threshold * resetting
        if adaptation is not None:
            adaptation = adaptation_decay * adaptation + adaptation_strength * spikes_b
    return torch.stack(spikes_t, dim=1).to(current.dtype), LifState(membrane, adaptation)
