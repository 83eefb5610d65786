"""Spike attention on CPUs: Numba kernels on spikes in bits, around the operators of `lif`.

Spikes are packed on arrival, and everything after that reads their bits. Causal "ssa" takes matrix
products instead, part by part.

Axes: b batch, t timesteps, n tokens, h heads, d channels of a head, f channels of all heads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    fire_backward,
    ssa_backward,
)
from spikeformer.ops.spike_attention.cpu_kernels import (
    channels_backward_kernel,
    channels_kernel,
    gate_kernel,
    key_value_backward_kernel,
    matches_backward_kernel,
    matches_kernel,
    pack_kernel,
    query_key_backward_kernel,
)
from spikeformer.ops.spike_attention.reference import attention_current
from spikeformer.ops.spike_pack.cpu import unpack
from spikeformer.ops.threads import run_tasks

# Elements of the query that causal "ssa" works on at a time: what lies between its products stays
# in cache, and in memory that is used again and again.
_PART = 1 << 17


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
    bits: Spikes = empty_bits(spikes, save=True)
    for x, packed in zip(spikes, bits, strict=True):
        if x is not None and packed is not None:
            _pack(x, packed)
    if spikes[2] is None:
        bits = *bits[:2], None
    results: tuple[Tensor, ...]
    if mechanism != "ssa":
        results = _gated_forward(spikes, bits, state, dynamics, causal)
    elif causal:
        results = _causal_forward(spikes, state, dynamics, scale)
    else:
        results = _ssa_forward(spikes, bits, state, dynamics, scale)
    kept = empty_bits(spikes, save=False)
    if save:
        kept = *bits[:2], kept[2] if bits[2] is None else bits[2]
    return *results, *kept


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
    grad_initial = [
        empty_like(grad_spikes, (0,) if x is None else x.shape, torch.float32) for x in state
    ]
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
    current = _count(bits, query.shape, causal)
    gate, membrane, adaptation = fire(current, state, dynamics)
    gated, packed = (key, bits[1]) if value is None else (query, bits[0])
    out = empty_like(gated, gated.shape)
    per_gate = out.shape[4] if value is None else 1
    arrays = _arrays(packed, gate, out)
    _run(gate_kernel(out.dtype), out, out.shape[2], gate.shape[2], per_gate, *arrays)
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
    query_bits, key_bits, value_bits = bits
    keys, dtype = key_bits.shape[2], grad_spikes.dtype
    current = _count(bits, grad_spikes.shape, causal)
    gate = fire(current, state, dynamics)[0]
    grad_gate = torch.empty_like(current)
    if value_bits is None:
        kernel, packed = channels_backward_kernel(dtype), key_bits
    else:
        kernel, packed = matches_backward_kernel(dtype, causal), query_bits
    _run(kernel, grad_spikes, keys, *_arrays(packed, grad_spikes, grad_gate))
    grad_current, *others = fire_backward(current, state, dynamics, grad_gate, grad_state)
    if value_bits is None:
        arrays = _arrays(gate, grad_current, grad_spikes, *grads[:2])
        _run(query_key_backward_kernel(dtype), grad_spikes, keys, *arrays)
    else:
        arrays = _arrays(key_bits, value_bits, gate, grad_current, grad_spikes, *grads)
        _run(key_value_backward_kernel(dtype, causal), grad_spikes, keys, *arrays)
    return tuple(others)


def _count(bits: Spikes, shape: torch.Size, causal: bool) -> Tensor:
    """What the neurons of "qk_token" integrate, and of "sdsa" if there is a value."""
    query_bits, key_bits, value_bits = bits
    batch, timesteps, tokens, *features = shape
    if value_bits is None:
        current = query_bits.new_empty((*shape[:4],), dtype=torch.float32)
        _run(channels_kernel, shape, tokens, *_arrays(query_bits, current))
        return current
    counted = (batch, timesteps, tokens if causal else 1, *features)
    current = query_bits.new_empty(counted, dtype=torch.float32)
    _run(matches_kernel(causal), shape, key_bits.shape[2], *_arrays(key_bits, value_bits, current))
    return current


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
    batch, timesteps, tokens, heads, channels = spikes.shape
    rows = spikes.flatten(3)
    if rows.stride(3) != 1:
        rows = rows.contiguous()
    arguments = ((timesteps, tokens, heads * channels), *strided(rows), *_arrays(bits))
    run_tasks(pack_kernel(spikes.dtype), arguments, batch * timesteps, spikes.numel())


def _unpack(bits: Tensor, features: torch.Size) -> Tensor:
    """Spikes (b, t, n, h, d) in float32 from their bits."""
    batch, timesteps, tokens, num_bytes = bits.shape
    rows = unpack(bits.flatten(), 8 * bits.numel(), torch.float32)
    rows = rows.view(batch, timesteps, tokens, 8 * num_bytes)[..., : features.numel()]
    return rows.reshape(batch, timesteps, tokens, *features)


def _run(kernel: Any, queries: Tensor | torch.Size, keys: int, *arguments: Any) -> None:
    """Run a kernel over the timesteps of the samples of tensors shaped like the queries."""
    shape = queries if isinstance(queries, torch.Size) else queries.shape
    batch, timesteps, tokens, heads, channels = shape
    sizes = (tokens, keys, heads, channels)
    run_tasks(kernel, (sizes, *arguments), batch * timesteps, shape.numel())


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
