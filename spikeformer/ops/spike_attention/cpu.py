"""Spike attention on CPUs: Numba kernels and matrix products around the operators of `lif`.

Axes: b batch, t timesteps, n tokens, h heads, d channels of a head, f channels of all heads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
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
)
from spikeformer.ops.spike_attention.reference import attention_current
from spikeformer.ops.spike_pack.cpu import unpack
from spikeformer.ops.threads import run_tasks

# Elements of the query that "ssa" works on at a time: what lies between its products stays in
# cache, and in memory that is used again and again.
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
    query, key, value = spikes
    query_bits, key_bits, value_bits = bits = empty_bits(spikes, save)
    if value is None:
        current = _count_channels(query, query_bits)
        fired, membrane, adaptation = fire(current, state, dynamics)
        return _gate(key, key_bits, fired), membrane, adaptation, *bits
    if mechanism == "sdsa":
        current = _count_matches(key, key_bits, value, value_bits, causal)
        fired, membrane, adaptation = fire(current, state, dynamics)
        return _gate(query, query_bits, fired), membrane, adaptation, *bits
    if not causal:
        return _ssa_forward(spikes, state, dynamics, scale, save)
    out = empty_like(query, query.shape)
    finals = []
    for part in _parts(query):
        q, k, v = query[part], key[part], value[part]
        current = attention_current(q, k, v, mechanism=mechanism, scale=scale, causal=causal)
        fired, *final = fire(current, _of_part(state, part), dynamics)
        out[part].copy_(fired)
        finals.append(final)
        if save:
            for x, packed in zip((q, k, v), bits, strict=True):
                _run(pack_kernel(x.dtype), x, *_strided(x), _by_task(packed[part]))
    membrane, adaptation = (torch.cat(tensors) for tensors in zip(*finals, strict=True))
    return out, membrane, adaptation, *bits


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
    query_bits, key_bits, value_bits = bits
    grad_spikes = grad_spikes.contiguous()
    features = grad_spikes.shape[3:]
    grad_query = empty_like(grad_spikes, (*query_bits.shape[:3], *features))
    grad_key = empty_like(grad_spikes, (*key_bits.shape[:3], *features))
    if value_bits is None:
        current, grad_gate = _channels_backward(query_bits, key_bits, grad_spikes)
        gate = fire(current, state, dynamics)[0].to(grad_spikes.dtype)
        grad_current, *others = fire_backward(current, state, dynamics, grad_gate, grad_state)
        grad_query.copy_(grad_current.unsqueeze(-1))
        torch.mul(grad_spikes, gate.unsqueeze(-1), out=grad_key)
        return grad_query, grad_key, grad_spikes.new_empty(0), *others
    grad_value = empty_like(grad_key, grad_key.shape)
    if mechanism == "sdsa":
        current, grad_gate = _matches_backward(
            query_bits, key_bits, value_bits, grad_spikes, causal
        )
        gate = fire(current, state, dynamics)[0].to(grad_spikes.dtype)
        grad_current, *others = fire_backward(current, state, dynamics, grad_gate, grad_state)
        torch.mul(grad_spikes, gate, out=grad_query)
        arrays = (key_bits, value_bits, grad_current, grad_key, grad_value)
        _run_by_task(key_value_backward_kernel(grad_key.dtype, causal), grad_key, *arrays)
        return grad_query, grad_key, grad_value, *others
    if mechanism == "ssa" and not causal:
        grads = grad_query, grad_key, grad_value
        others = _ssa_backward(bits, state, dynamics, scale, grad_spikes, grad_state, grads)
        return *grads, *others
    rest = []
    for part in _parts(grad_spikes):
        q, k, v = (_unpack(packed[part], features) for packed in (query_bits, key_bits, value_bits))
        grad_q, grad_k, grad_v, *others = ssa_backward(
            (q, k, v),
            _of_part(state, part),
            dynamics,
            scale,
            causal,
            grad_spikes[part],
            _of_part(grad_state, part),
        )
        grad_query[part].copy_(grad_q)
        grad_key[part].copy_(grad_k)
        grad_value[part].copy_(grad_v)
        rest.append(others)
    membranes, adaptations, parameters = zip(*rest, strict=True)
    grad_states = torch.cat(membranes), torch.cat(adaptations)
    return grad_query, grad_key, grad_value, *grad_states, torch.stack(parameters).sum(0)


def _ssa_forward(
    spikes: Spikes, state: State, dynamics: Dynamics, scale: float, save: bool
) -> tuple[Tensor, ...]:
    query, key, _ = spikes
    bits = empty_bits(spikes, save=True)
    for x, packed in zip(spikes, bits, strict=True):
        assert x is not None
        _run(pack_kernel(x.dtype), x, *_strided(x), _by_task(packed))
    out = empty_like(query, query.shape)
    batch, timesteps, queries, heads, channels = query.shape
    membrane = empty_like(query, (batch, queries, heads, channels), torch.float32)
    adaptation = empty_like(membrane, (0,) if state[1] is None else membrane.shape)
    arguments = (
        (timesteps, queries, key.shape[2], heads, channels),
        np.float32(scale),
        forward_address(dynamics.reset, state[1] is not None),
        numbers(dynamics),
        *(packed.contiguous().view(-1).numpy() for packed in bits),
        *map(flat, (*state, out, membrane, adaptation)),
    )
    run_tasks(ssa_kernels.forward_kernel(out.dtype), arguments, batch * heads, 3 * out.numel())
    return out, membrane, adaptation, *(bits if save else empty_bits(spikes, save=False))


def _ssa_backward(
    bits: Spikes,
    state: State,
    dynamics: Dynamics,
    scale: float,
    grad_spikes: Tensor,
    grad_state: State,
    grads: tuple[Tensor, Tensor, Tensor],
) -> tuple[Tensor, ...]:
    batch, timesteps, queries, heads, channels = grad_spikes.shape
    learned = isinstance(dynamics.parameters, Tensor)
    grad_initial = [None if x is None else torch.empty_like(x) for x in state]
    grad_parameters = np.empty((batch * heads if learned else 0, 4))
    arguments = (
        (timesteps, queries, grads[1].shape[2], heads, channels),
        np.float32(scale),
        backward_address(
            dynamics.reset,
            dynamics.detach_reset,
            dynamics.surrogate,
            state[1] is not None,
            learned,
        ),
        (*numbers(dynamics), np.float32(dynamics.slope)),
        *(packed.contiguous().view(-1).numpy() for packed in bits),
        *map(flat, (*state, grad_spikes, *grad_state, *grads, *grad_initial)),
        grad_parameters,
        np.empty((0, 2, 0), np.float32),
    )
    kernel = ssa_kernels.backward_kernel(grad_spikes.dtype)
    run_tasks(kernel, arguments, batch * heads, 6 * grad_spikes.numel())
    parameters = torch.from_numpy(grad_parameters.sum(0) if learned else np.empty(0)).float()
    membrane, adaptation = (grad_spikes.new_empty(0) if x is None else x for x in grad_initial)
    return membrane, adaptation, parameters


def _count_channels(query: Tensor, query_bits: Tensor) -> Tensor:
    current = query.new_empty(query.shape[:4], dtype=torch.float32)
    kernel = channels_kernel(query.dtype)
    _run(kernel, query, *_strided(query), _by_task(query_bits), _by_task(current))
    return current


def _count_matches(
    key: Tensor, key_bits: Tensor, value: Tensor, value_bits: Tensor, causal: bool
) -> Tensor:
    batch, timesteps, tokens, *features = key.shape
    shape = (batch, timesteps, tokens if causal else 1, *features)
    current = key.new_empty(shape, dtype=torch.float32)
    arguments = (*_strided(key), _by_task(key_bits), *_strided(value), _by_task(value_bits))
    _run(matches_kernel(key.dtype, causal), key, *arguments, _by_task(current))
    return current


def _gate(spikes: Tensor, bits: Tensor, gate: Tensor) -> Tensor:
    out = empty_like(spikes, spikes.shape)
    kernel = gate_kernel(spikes.dtype, gate.dim() == 4)
    _run(kernel, spikes, *_strided(spikes), _by_task(bits), _by_task(gate), _by_task(out))
    return out


def _channels_backward(
    query_bits: Tensor, key_bits: Tensor, grad_spikes: Tensor
) -> tuple[Tensor, Tensor]:
    """The current of "qk_token", computed again, and the gradient of its gate."""
    current = grad_spikes.new_empty(grad_spikes.shape[:4], dtype=torch.float32)
    grad_gate = torch.empty_like(current)
    kernel = channels_backward_kernel(grad_spikes.dtype)
    _run_by_task(kernel, grad_spikes, query_bits, key_bits, grad_spikes, current, grad_gate)
    return current, grad_gate


def _matches_backward(
    query_bits: Tensor, key_bits: Tensor, value_bits: Tensor, grad_spikes: Tensor, causal: bool
) -> tuple[Tensor, Tensor]:
    """The current of "sdsa", computed again, and the gradient of its gate."""
    batch, timesteps, tokens, *features = grad_spikes.shape
    shape = (batch, timesteps, tokens if causal else 1, *features)
    current = grad_spikes.new_empty(shape, dtype=torch.float32)
    grad_gate = torch.empty_like(current)
    kernel = matches_backward_kernel(grad_spikes.dtype, causal)
    bits = (query_bits, key_bits, value_bits)
    _run_by_task(kernel, grad_spikes, *bits, grad_spikes, current, grad_gate)
    return current, grad_gate


def _unpack(bits: Tensor, features: torch.Size) -> Tensor:
    """Spikes (b, t, n, h, d) in float32 from their bits."""
    batch, timesteps, tokens, num_bytes = bits.shape
    rows = unpack(bits.flatten(), 8 * bits.numel(), torch.float32)
    rows = rows.view(batch, timesteps, tokens, 8 * num_bytes)[..., : features.numel()]
    return rows.reshape(batch, timesteps, tokens, *features)


def _run(kernel: Any, spikes: Tensor, *arguments: Any) -> None:
    """Run a kernel over the timesteps of the samples of `spikes`, with their shape (t, n, f)."""
    batch, timesteps, tokens, heads, channels = spikes.shape
    shape = (timesteps, tokens, heads * channels)
    run_tasks(kernel, (shape, *arguments), batch * timesteps, spikes.numel())


def _run_by_task(kernel: Any, spikes: Tensor, *tensors: Tensor) -> None:
    """Run a kernel over the timesteps of the samples of `spikes`, on contiguous tensors."""
    arrays = tuple(_by_task(tensor) for tensor in tensors)
    run_tasks(kernel, arrays, spikes.shape[0] * spikes.shape[1], spikes.numel())


def _by_task(rows: Tensor) -> Any:
    """(b, t, n, ...) as an array (tasks, n, f)."""
    memory = flat(rows) if rows.is_floating_point() else rows.contiguous().view(-1).numpy()
    batch, timesteps, tokens, *features = rows.shape
    return memory.reshape(batch * timesteps, tokens, math.prod(features))


def _strided(spikes: Tensor) -> tuple[Any, tuple[int, ...]]:
    """The memory that spikes span as a one-dimensional array, with strides of b, t and n."""
    rows = spikes.flatten(3)
    if rows.stride(3) != 1:
        rows = rows.contiguous()
    return strided(rows)


def _parts(query: Tensor) -> Iterator[slice]:
    """Slices of the batch; one, which is empty, for an empty batch."""
    size = max(1, _PART // max(1, query[:1].numel()))
    for start in range(0, max(1, query.shape[0]), size):
        yield slice(start, start + size)


def _of_part(state: State, part: slice) -> State:
    return [None if tensor is None else tensor[part] for tensor in state]
