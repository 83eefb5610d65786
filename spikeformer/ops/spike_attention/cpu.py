"""Spike attention on CPUs: Numba kernels on spikes in bits, around the operators of `lif`.

Spikes are packed on arrival, and everything after that reads their bits. Causal "ssa" takes matrix
products instead, part by part.

Axes: b batch, t timesteps, n tokens, h heads, d channels of a head, f channels of all heads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeformer.ops.formats import flat, strided
from spikeformer.ops.lif.cpu import backward_address, forward_address, numbers
from spikeformer.ops.lif.dynamics import Dynamics, State
from spikeformer.ops.memory import empty_like
from spikeformer.ops.spike_attention import ssa_kernels
from spikeformer.ops.spike_attention.composed import (
    Spikes,
    empty_bits,
    fire,
    ssa_backward,
)
from spikeformer.ops.spike_attention.cpu_kernels import pack_kernel
from spikeformer.ops.spike_attention.neuron_kernels import lif_blocks
from spikeformer.ops.spike_attention.operator import current_shape
from spikeformer.ops.spike_attention.qk_token_kernels import (
    qk_token_backward_kernel,
    qk_token_kernel,
)
from spikeformer.ops.spike_attention.reference import attention_current
from spikeformer.ops.spike_attention.sdsa_kernels import sdsa_backward_kernel, sdsa_kernel
from spikeformer.ops.spike_pack.cpu import unpack
from spikeformer.ops.threads import run_tasks
from spikeformer.ops.vectors import LANES

# Elements of the query that causal "ssa" works on at a time: what lies between its products stays
# in cache, and in memory that is used again and again.
_PART = 1 << 17

# "qk_token" divides the samples of small batches to get so many tasks, of so many tokens or more.
_TASKS, _MIN_TOKENS = 32, 16


def forward(
    spikes: Spikes,
    state: State,
    dynamics: Dynamics,
    mechanism: str,
    scale: float,
    causal: bool,
    save: bool,
) -> tuple[Tensor, ...]:
    """Spikes, final membrane, final adaptation, and with `save` the bits of query, key and value.

    What there is not, is empty.
    """
    gated = mechanism != "ssa"
    bits = empty_bits(spikes, save=save or not gated)
    results: tuple[Tensor, ...]
    if gated:
        results = _gated_forward(spikes, bits, state, dynamics, causal)
        return *results, *bits
    for x, packed in zip(spikes, bits, strict=True):
        if x is not None:
            _pack(x, packed)
    if causal:
        results = _causal_forward(spikes, state, dynamics, scale)
    else:
        results = _ssa_forward(spikes, bits, state, dynamics, scale)
    return *results, *(bits if save else empty_bits(spikes, save=False))


def backward(
    bits: Spikes,
    state: State,
    dynamics: Dynamics,
    mechanism: str,
    scale: float,
    causal: bool,
    grad_spikes: Tensor,
    grad_state: State,
) -> tuple[Tensor, ...]:
    """Gradients of query, key, value, membrane, adaptation and parameters; empty where None."""
    grad_spikes = grad_spikes.contiguous()
    features = grad_spikes.shape[3:]
    grads = tuple(
        empty_like(grad_spikes, (0,) if packed is None else (*packed.shape[:3], *features))
        for packed in bits
    )
    others: tuple[Tensor, ...]
    if mechanism != "ssa":
        others = _gated_backward(bits, state, dynamics, causal, grad_spikes, grad_state, grads)
    elif causal:
        others = _causal_backward(bits, state, dynamics, scale, grad_spikes, grad_state, grads)
    else:
        others = _ssa_backward(bits, state, dynamics, scale, grad_spikes, grad_state, grads)
    return *grads, *others


def _ssa_forward(
    spikes: Spikes, bits: Spikes, state: State, dynamics: Dynamics, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    query, key, _ = spikes
    out = empty_like(query, query.shape)
    batch, timesteps, queries, heads, channels = query.shape
    membrane = empty_like(query, (batch, queries, heads, channels), torch.float32)
    adaptation = empty_like(membrane, (0,) if state[1] is None else membrane.shape)
    arguments = (
        (timesteps, queries, key.shape[2], heads, channels),
        np.float32(scale),
        forward_address(dynamics.reset, state[1] is not None),
        numbers(dynamics),
        *_arrays(*bits, *state, out, membrane, adaptation),
    )
    run_tasks(ssa_kernels.forward_kernel(out.dtype), arguments, batch * heads, 3 * out.numel())
    return out, membrane, adaptation


def _ssa_backward(
    bits: Spikes,
    state: State,
    dynamics: Dynamics,
    scale: float,
    grad_spikes: Tensor,
    grad_state: State,
    grads: tuple[Tensor, ...],
) -> tuple[Tensor, ...]:
    batch, timesteps, queries, heads, channels = grad_spikes.shape
    learned = isinstance(dynamics.parameters, Tensor)
    grad_initial = _grad_initial(grad_spikes, state)
    grad_parameters = np.empty((batch * heads if learned else 0, 4))
    adaptive = state[1] is not None
    neuron = (dynamics.reset, dynamics.detach_reset, dynamics.surrogate, adaptive, learned)
    arguments = (
        (timesteps, queries, grads[1].shape[2], heads, channels),
        np.float32(scale),
        backward_address(*neuron),
        (*numbers(dynamics), np.float32(dynamics.slope)),
        *_arrays(*bits, *state, grad_spikes, *grad_state, *grads, *grad_initial),
        grad_parameters,
        np.empty((0, 2, 0), np.float32),
    )
    kernel = ssa_kernels.backward_kernel(grad_spikes.dtype)
    run_tasks(kernel, arguments, batch * heads, 6 * grad_spikes.numel())
    parameters = torch.from_numpy(grad_parameters.sum(0) if learned else np.empty(0)).float()
    return *grad_initial, parameters


def _gated_forward(
    spikes: Spikes, bits: Spikes, state: State, dynamics: Dynamics, causal: bool
) -> tuple[Tensor, Tensor, Tensor]:
    query, key, value = spikes
    out = empty_like(query, query.shape)
    counted = current_shape(query, "qk_token" if value is None else "sdsa", causal)
    membrane = empty_like(query, (counted[0], *counted[2:]), torch.float32)
    adaptation = empty_like(membrane, (0,) if state[1] is None else membrane.shape)
    if value is None:
        kernel, operands = qk_token_kernel(query.dtype), [query, key]
    else:
        kernel, operands = sdsa_kernel(query.dtype, causal), [query, key, value]
    shape, num_tasks = _divide(query.shape, key.shape[2], value is None)
    arguments = (
        shape,
        forward_address(dynamics.reset, state[1] is not None),
        numbers(dynamics),
        *chain.from_iterable(strided(_rows(x)) for x in operands),
        *_arrays(*bits[: len(operands)], *state, out, membrane, adaptation),
    )
    run_tasks(kernel, arguments, num_tasks, 4 * out.numel())
    return out, membrane, adaptation


def _gated_backward(
    bits: Spikes,
    state: State,
    dynamics: Dynamics,
    causal: bool,
    grad_spikes: Tensor,
    grad_state: State,
    grads: tuple[Tensor, ...],
) -> tuple[Tensor, ...]:
    without_value = bits[2] is None
    if without_value:
        kernel, operands = qk_token_backward_kernel(grad_spikes.dtype), 2
    else:
        kernel, operands = sdsa_backward_kernel(grad_spikes.dtype, causal), 3
    keys = grads[1].shape[2]
    shape, num_tasks = _divide(grad_spikes.shape, keys, without_value)
    adaptive, learned = state[1] is not None, isinstance(dynamics.parameters, Tensor)
    neuron = (dynamics.reset, dynamics.detach_reset, dynamics.surrogate, adaptive, learned)
    grad_initial = _grad_initial(grad_spikes, state)
    heads, channels = grad_spikes.shape[3:]
    if without_value:
        blocks = lif_blocks(shape[-1] * heads)
    else:
        gates = grad_spikes.shape[2] if causal else 1
        blocks = lif_blocks(gates * -(-heads * channels // LANES) * LANES)
    grad_parameters = np.zeros((num_tasks * blocks if learned else 0, 4))
    arguments = (
        shape,
        (forward_address(dynamics.reset, adaptive), backward_address(*neuron)),
        numbers(dynamics),
        np.float32(dynamics.slope),
        *_arrays(*bits[:operands], *state, grad_spikes, *grad_state),
        *_arrays(*grads[:operands], *grad_initial),
        grad_parameters,
        np.empty((0, 2, 0), np.float32),
    )
    run_tasks(kernel, arguments, num_tasks, 4 * grad_spikes.numel())
    parameters = torch.from_numpy(grad_parameters.sum(0) if learned else np.empty(0)).float()
    return *grad_initial, parameters


def _divide(shape: torch.Size, keys: int, by_token: bool) -> tuple[tuple[int, ...], int]:
    """Sizes for a kernel of gates, and how many tasks there are: the same for any threads."""
    batch, timesteps, tokens, heads, channels = shape
    blocks = max(1, min(-(-_TASKS // max(1, batch)), tokens // _MIN_TOKENS)) if by_token else 1
    block = max(1, -(-tokens // blocks))
    sizes = (timesteps, tokens, keys, heads, channels, block)
    return sizes, batch * max(1, -(-tokens // block)) if by_token else batch


def _grad_initial(near: Tensor, state: State) -> list[Tensor]:
    return [empty_like(near, (0,) if x is None else x.shape, torch.float32) for x in state]


def _causal_forward(
    spikes: Spikes, state: State, dynamics: Dynamics, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    query, key, value = spikes
    assert value is not None
    out = empty_like(query, query.shape)
    finals = []
    for part in _parts(query):
        current = attention_current(
            query[part], key[part], value[part], mechanism="ssa", scale=scale, causal=True
        )
        fired, *final = fire(current, _of_part(state, part), dynamics)
        out[part].copy_(fired)
        finals.append(final)
    membrane, adaptation = (torch.cat(tensors) for tensors in zip(*finals, strict=True))
    return out, membrane, adaptation


def _causal_backward(
    bits: Spikes,
    state: State,
    dynamics: Dynamics,
    scale: float,
    grad_spikes: Tensor,
    grad_state: State,
    grads: tuple[Tensor, ...],
) -> tuple[Tensor, ...]:
    rest = []
    for part in _parts(grad_spikes):
        q, k, v = (_unpack(x[part], grad_spikes.shape[3:]) for x in bits if x is not None)
        *computed, membrane, adaptation, parameters = ssa_backward(
            (q, k, v),
            _of_part(state, part),
            dynamics,
            scale,
            True,
            grad_spikes[part],
            _of_part(grad_state, part),
        )
        for grad, of_part in zip(grads, computed, strict=True):
            grad[part].copy_(of_part)
        rest.append((membrane, adaptation, parameters))
    membranes, adaptations, totals = zip(*rest, strict=True)
    return torch.cat(membranes), torch.cat(adaptations), torch.stack(totals).sum(0)


def _pack(spikes: Tensor, bits: Tensor) -> None:
    rows = _rows(spikes)
    batch, *sizes = rows.shape
    arguments = (tuple(sizes), *strided(rows), *_arrays(bits))
    run_tasks(pack_kernel(spikes.dtype), arguments, batch * sizes[0], spikes.numel())


def _rows(spikes: Tensor) -> Tensor:
    """(b, t, n, f) with contiguous features, as a view where memory allows."""
    rows = spikes.flatten(3)
    return rows if rows.stride(3) == 1 else rows.contiguous()


def _unpack(bits: Tensor, features: torch.Size) -> Tensor:
    """Spikes (b, t, n, h, d) in float32 from their bits."""
    batch, timesteps, tokens, num_bytes = bits.shape
    rows = unpack(bits.flatten(), 8 * bits.numel(), torch.float32)
    rows = rows.view(batch, timesteps, tokens, 8 * num_bytes)[..., : features.numel()]
    return rows.reshape(batch, timesteps, tokens, *features)


def _arrays(*tensors: Tensor | None) -> Sequence[Any]:
    """The memory of contiguous tensors, flat."""
    return [
        x.contiguous().view(-1).numpy() if x is not None and x.dtype == torch.uint8 else flat(x)
        for x in tensors
    ]


def _parts(query: Tensor) -> Iterator[slice]:
    """Slices of the batch; one, which is empty, for an empty batch."""
    size = max(1, _PART // max(1, query[:1].numel()))
    for start in range(0, max(1, query.shape[0]), size):
        yield slice(start, start + size)


def _of_part(state: State, part: slice) -> State:
    return [None if tensor is None else tensor[part] for tensor in state]
