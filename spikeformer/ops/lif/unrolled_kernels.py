"""LIF kernels that have a few timesteps written out.

The timesteps of a neuron are one step of a loop over neurons, which LLVM turns into vectors: what a
timestep hands to the next stays in registers, and memory is read and written front to back.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from numba.extending import register_jitable

from spikeformer.ops.compiling import compiled
from spikeformer.ops.derivatives import ZERO
from spikeformer.ops.formats import FORMATS
from spikeformer.ops.layout import BLOCK
from spikeformer.ops.lif.cpu_kernels import Kernel, copy, equations, fill, quotient
from spikeformer.ops.scratch import allocate, alone, release

TIMESTEPS = (1, 2, 4)
"""How many are written out on the way back."""

_CHUNK = 1
"""How many are written out on the way forward, and what is left one by one."""

# An index without a sign is not taken to count from the end.
_U = np.uint64


@cache
def forward_kernel(
    dtype: torch.dtype,
    reset: str,
    adaptive: bool,
    affine: bool,
    counts: str,
    keep_membrane: bool = True,
    single: bool = False,
) -> Kernel:
    """Compile the walk through time that writes spikes and, if wanted, the final state.

    `single` promises one timestep from rest, after which nobody needs the state.
    """
    fire, _ = equations(reset, False, "rectangle", counts)
    # Batch norm's numbers and the membrane are read for every timestep, unless several share them.
    chunk = 2 if affine and not single else 1
    options = dtype, fire, adaptive, affine, counts
    several, one = (_forward_walk(timesteps, single, *options) for timesteps in (chunk, 1))

    @compiled(error_model="numpy")
    def kernel(
        first: int,
        last: int,
        shape: tuple[int, int, int, int],
        parameters: Any,
        current: Any,
        current_strides: tuple[int, int],
        center: Any,
        scale: Any,
        offset: Any,
        initial_membrane: Any,
        initial_adaptation: Any,
        spikes: Any,
        spikes_strides: tuple[int, int],
        membrane: Any,
        adaptation: Any,
    ) -> None:
        batch, timesteps, features, group_size = shape
        if not keep_membrane:
            scratch = allocate(np.float32, BLOCK)
        width = min(BLOCK, center.size) if affine else BLOCK
        num_blocks = (features + width - 1) // width
        for task in range(first, last):
            group = task // num_blocks
            begin = (task - group * num_blocks) * width
            n = min(width, features - begin)
            at = begin % center.size if affine else 0
            maps = center[at : at + n], scale[at : at + n], offset[at : at + n]
            for sample in range(group * group_size, min(batch, (group + 1) * group_size)):
                row = sample * features + begin
                v = alone(membrane[row : row + n]) if keep_membrane else scratch[:n]
                if not single:
                    fill(v, initial_membrane, row)
                a = alone(adaptation[row : row + n]) if adaptive else v
                if adaptive:
                    fill(a, initial_adaptation, row)
                x = sample * current_strides[0] + begin, current_strides[1]
                s = sample * spikes_strides[0] + begin, spikes_strides[1]
                t = 0
                while t + chunk <= timesteps:
                    several(t, v, a, parameters, current, x, maps, spikes, s)
                    t += chunk
                if chunk > 1 and t < timesteps:
                    one(t, v, a, parameters, current, x, maps, spikes, s)
        if not keep_membrane:
            release(scratch)

    return kernel


def _forward_walk(
    timesteps: int,
    single: bool,
    dtype: torch.dtype,
    fire: Any,
    adaptive: bool,
    affine: bool,
    counts: str,
) -> Callable[..., None]:
    """So many timesteps of a block of neurons."""
    rows = _rows(timesteps)
    step = _forward_step(0, timesteps, dtype, fire, adaptive, affine, counts)

    @register_jitable(forceinline=True)
    def walk(
        t: int,
        membrane: Any,
        adaptation: Any,
        parameters: Any,
        current: Any,
        current_at: tuple[int, int],
        maps: Any,
        spikes: Any,
        spikes_at: tuple[int, int],
    ) -> None:
        start, stride = current_at
        begin, pitch = spikes_at
        out = rows(spikes, begin + t * pitch, pitch, membrane.size)
        given = parameters, current, start + t * stride, stride, maps, out
        for j in range(membrane.size):
            before = ZERO if single else membrane[_U(j)]
            v, a = step(before, adaptation[_U(j)] if adaptive else ZERO, j, given)
            if not single:
                membrane[_U(j)] = v
            if adaptive:
                adaptation[_U(j)] = a

    return walk


def _forward_step(
    t: int,
    timesteps: int,
    dtype: torch.dtype,
    fire: Any,
    adaptive: bool,
    affine: bool,
    counts: str,
) -> Callable[..., Any]:
    """The timesteps from `t` on, as a function of the state before them to that after them."""
    last = t + 1 == timesteps
    later: Any = (
        None if last else _forward_step(t + 1, timesteps, dtype, fire, adaptive, affine, counts)
    )
    (_, load, store), divide = FORMATS[dtype], quotient(counts)

    @register_jitable(forceinline=True)
    def step(v: Any, a: Any, j: int, given: Any) -> Any:
        parameters, current, start, stride, maps, out = given
        decay, threshold, adaptation_decay, strength, most = parameters
        i = load(current[_U(start + t * stride + j)])
        if affine:
            center, scale, offset = maps
            i = (i - center[_U(j)]) * scale[_U(j)] + offset[_U(j)]
        pre = decay * v + i
        if adaptive:
            pre = pre - a
        _, fired, after = fire(pre, threshold, most)
        out[t][_U(j)] = store(divide(fired, most) if counts else fired)
        if adaptive:
            a = adaptation_decay * a + strength * fired
        return (after, a) if last else later(after, a, j, given)

    return step


def _rows(timesteps: int) -> Callable[..., Any]:
    """The rows of a tensor that a loop writes: (memory, start, stride, features) to a tuple."""
    if timesteps == 1:

        @register_jitable(forceinline=True)
        def last(memory: Any, start: int, stride: int, n: int) -> Any:
            return (alone(memory[start : start + n]),)

        return last

    others = _rows(timesteps - 1)

    @register_jitable(forceinline=True)
    def rows(memory: Any, start: int, stride: int, n: int) -> Any:
        return (alone(memory[start : start + n]), *others(memory, start + stride, stride, n))

    return rows


# Rows of backward's scratch buffer: the affine map's sums, the state before all timesteps, and its
# gradient after and before them.
_SUM_OFFSET, _SUM_SCALE, _STATE = 0, BLOCK, 2 * BLOCK
_GRAD_AFTER, _GRAD_BEFORE = 3 * BLOCK, 4 * BLOCK


@cache
def unrolled_backward_kernel(
    timesteps: int,
    dtype: torch.dtype,
    reset: str,
    detach_reset: bool,
    surrogate: str,
    affine: bool,
    counts: str,
) -> Kernel:
    """Compile what `backward_kernel` does without adaptation and gradients of parameters."""
    neuron = equations(reset, detach_reset, surrogate, counts)
    rows, step = _rows(timesteps), _backward_step(0, timesteps, dtype, neuron, affine)

    @compiled(error_model="numpy")
    def kernel(
        first: int,
        last: int,
        shape: tuple[int, int, int, int],
        parameters: Any,
        current: Any,
        current_strides: tuple[int, int],
        center: Any,
        scale: Any,
        offset: Any,
        initial_membrane: Any,
        initial_adaptation: Any,
        grad_spikes: Any,
        grad_spikes_strides: tuple[int, int],
        grad_membrane: Any,
        grad_adaptation: Any,
        grad_current: Any,
        grad_current_strides: tuple[int, int],
        grad_initial_membrane: Any,
        grad_initial_adaptation: Any,
        grad_parameters: Any,
        affine_sums: Any,
    ) -> None:
        batch, _, features, group_size = shape
        scratch = allocate(np.float32, 5 * BLOCK)
        width = min(BLOCK, center.size) if affine else BLOCK
        num_blocks = (features + width - 1) // width
        for task in range(first, last):
            group = task // num_blocks
            begin = (task - group * num_blocks) * width
            n = min(width, features - begin)
            at = begin % center.size if affine else 0
            maps = center[at : at + n], scale[at : at + n], offset[at : at + n]
            if affine:
                scratch[:_STATE] = ZERO
            for sample in range(group * group_size, min(batch, (group + 1) * group_size)):
                row = sample * features + begin
                fill(scratch[_STATE : _STATE + n], initial_membrane, row)
                fill(scratch[_GRAD_AFTER : _GRAD_AFTER + n], grad_membrane, row)
                to = sample * grad_current_strides[0] + begin
                given = (
                    scratch,
                    parameters,
                    (current, sample * current_strides[0] + begin, current_strides[1]),
                    (grad_spikes, sample * grad_spikes_strides[0] + begin, grad_spikes_strides[1]),
                    maps,
                    rows(grad_current, to, grad_current_strides[1], n),
                )
                for j in range(n):
                    dv, sum_offset, sum_scale = step(scratch[_U(_STATE + j)], j, given)
                    scratch[_U(_GRAD_BEFORE + j)] = dv
                    if affine:
                        scratch[_U(_SUM_OFFSET + j)] += sum_offset
                        scratch[_U(_SUM_SCALE + j)] += sum_scale
                if grad_initial_membrane.size:
                    before = scratch[_GRAD_BEFORE : _GRAD_BEFORE + n]
                    copy(before, grad_initial_membrane[row : row + n])
            if affine:
                for p in range(2):
                    sums = scratch[p * BLOCK : p * BLOCK + n]
                    copy(sums, affine_sums[group, p, begin : begin + n])
        release(scratch)

    return kernel


def _backward_step(
    t: int,
    timesteps: int,
    dtype: torch.dtype,
    neuron: tuple[Callable[..., Any], Callable[..., Any]],
    affine: bool,
) -> Callable[..., Any]:
    """The timesteps from `t` on, there and back, as a function of the membrane before them.

    It returns the gradient of that membrane, and the sums for the affine map.
    """
    last = t + 1 == timesteps
    later: Any = None if last else _backward_step(t + 1, timesteps, dtype, neuron, affine)
    (_, load, store), (fire, back) = FORMATS[dtype], neuron

    @register_jitable(forceinline=True)
    def step(v: Any, j: int, given: Any) -> Any:
        scratch, parameters, (current, at, stride), (grad_spikes, grad_at, pitch), maps, out = given
        decay, threshold, _, _, most, slope = parameters
        i = load(current[_U(at + t * stride + j)])
        centred = i
        if affine:
            center, scale, offset = maps
            centred = i - center[_U(j)]
            i = centred * scale[_U(j)] + offset[_U(j)]
        pre = decay * v + i
        distance, fired, after = fire(pre, threshold, most)
        if last:
            dv, sum_offset, sum_scale = scratch[_U(_GRAD_AFTER + j)], ZERO, ZERO
        else:
            dv, sum_offset, sum_scale = later(after, j, given)
        ds = load(grad_spikes[_U(grad_at + t * pitch + j)])
        dpre, _ = back(pre, distance, fired, ds, dv, threshold, most, slope)
        out[t][_U(j)] = store(dpre)
        return decay * dpre, sum_offset + dpre, sum_scale + dpre * centred

    return step
