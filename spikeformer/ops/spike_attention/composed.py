"""What kernels of several devices share: `lif` on any features, and gradients.

Axes: b batch, t timesteps, n tokens, h heads, d channels of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor

from spikeformer.ops.layout import FeatureAxes
from spikeformer.ops.lif.dynamics import Dynamics, State
from spikeformer.ops.lif.operator import lif_backward, lif_forward
from spikeformer.ops.spike_attention.reference import attention_current, keys_meet_values_first

Spikes = tuple[Tensor, Tensor, Tensor | None]
"""Query, key and value, or their bits."""


def empty_bits(spikes: Spikes, save: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Room for the bits of query, key and value, (b, t, n, bytes); none without `save`.

    A token's bits are those of all its heads, padded to full bytes.
    """
    query, key, value = (_empty_bits(x, spikes[0], save) for x in spikes)
    return query, key, value


def _empty_bits(spikes: Tensor | None, query: Tensor, save: bool) -> Tensor:
    if spikes is None:
        return query.new_empty(0, dtype=torch.uint8)
    batch, timesteps, tokens, heads, channels = spikes.shape
    num_bytes = (heads * channels + 7) // 8 if save else 0
    return query.new_empty(batch, timesteps, tokens, num_bytes, dtype=torch.uint8)


def fire(current: Tensor, state: State, dynamics: Dynamics) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes, final membrane and final adaptation, which is empty if there is none."""
    axes = FeatureAxes.of(current)
    fired, membrane, adaptation = lif_forward(
        axes.flatten(current, 2), _rows(axes, state), dynamics
    )
    if state[1] is not None:
        adaptation = axes.restore(adaptation, 1).contiguous()
    return axes.restore(fired, 2), axes.restore(membrane, 1).contiguous(), adaptation


def fire_backward(
    current: Tensor, state: State, dynamics: Dynamics, grad_fired: Tensor, grad_state: State
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of current, membrane, adaptation and parameters; empty where None."""
    axes = FeatureAxes.of(current)
    grad_current, *grad_initial, grad_parameters = lif_backward(
        axes.flatten(current, 2),
        _rows(axes, state),
        dynamics,
        axes.flatten(grad_fired.to(current.dtype), 2),
        _rows(axes, grad_state),
    )
    grad_membrane, grad_adaptation = (
        grad if given is None else axes.restore(grad, 1).contiguous()
        for grad, given in zip(grad_initial, state, strict=True)
    )
    return axes.restore(grad_current, 2), grad_membrane, grad_adaptation, grad_parameters


def _rows(axes: FeatureAxes, state: State) -> State:
    return [None if part is None else axes.flatten(part, 1) for part in state]


def ssa_backward(
    spikes: tuple[Tensor, Tensor, Tensor],
    state: State,
    dynamics: Dynamics,
    scale: float,
    causal: bool,
    grad_spikes: Tensor,
    grad_state: State,
) -> tuple[Tensor, ...]:
    """Gradients of query, key, value, membrane, adaptation and parameters of "ssa", in float32."""
    keys_first = not causal and keys_meet_values_first(*spikes[:2])
    with torch.autocast(grad_spikes.device.type, enabled=False):
        # Heads before tokens in memory, once for all products.
        q, k, v = (x.float().transpose(2, 3).contiguous() for x in spikes)
        pairs = k.mT @ v if keys_first else q @ k.mT
        if causal:
            pairs = pairs.tril()
        attended = (q @ pairs if keys_first else pairs @ v).mul_(scale)
        grad_current, *others = fire_backward(
            attended.transpose(2, 3), state, dynamics, grad_spikes, grad_state
        )
        grad = grad_current.transpose(2, 3).mul_(scale)
        if keys_first:
            grad_pairs = q.mT @ grad
            grads = grad @ pairs.mT, v @ grad_pairs.mT, k @ grad_pairs
        else:
            grad_pairs = grad @ v.mT
            if causal:
                grad_pairs = grad_pairs.tril()
            grads = grad_pairs @ k, grad_pairs.mT @ q, pairs.mT @ grad
    return *(x.transpose(2, 3) for x in grads), *others


def gated_backward(
    spikes: Spikes,
    state: State,
    dynamics: Dynamics,
    causal: bool,
    grad_spikes: Tensor,
    grad_state: State,
) -> tuple[Tensor, ...]:
    """Gradients of query, key, value and the rest of "sdsa", and of "qk_token" if value is None."""
    query, key, value = spikes
    mechanism = "qk_token" if value is None else "sdsa"
    current = attention_current(*spikes, mechanism=mechanism, scale=1.0, causal=causal)
    gate = fire(current, state, dynamics)[0].to(query.dtype)
    if value is None:
        grad_gate = (grad_spikes * key).sum(dim=-1, dtype=torch.float32)
    elif causal:
        grad_gate = grad_spikes * query
    else:
        grad_gate = (grad_spikes * query).sum(dim=2, keepdim=True, dtype=torch.float32)
    grad_current, *others = fire_backward(current, state, dynamics, grad_gate, grad_state)
    if value is None:
        grad_query = grad_current.unsqueeze(-1).expand(query.shape)
        return grad_query, grad_spikes * gate.unsqueeze(-1), query.new_empty(0), *others
    if causal:  # a match counts for its token and those after it
        grad_current = grad_current.flip(2).cumsum(2).flip(2)
    return grad_spikes * gate, grad_current * value, grad_current * key, *others
