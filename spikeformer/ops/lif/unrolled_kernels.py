"""LIF's way back over a few timesteps, all of them written out.

The kernel of `cpu_kernels.py` goes through time row by row and meets every membrane again in the
cache. Here the timesteps of a neuron are one step of a loop over neurons, which LLVM turns into
vectors: what a timestep hands to the next stays in registers, and memory is read front to back.
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
from spikeformer.ops.lif.cpu_kernels import BLOCK, Kernel, copy, equations, fill
from spikeformer.ops.scratch import allocate, release

TIMESTEPS = (1, 2, 4)
"""How many are written out."""

# Neurons at a time. Their gradients are written out in one go, which a processor does beside the
# next ones' arithmetic as long as it can keep them in its queue of stores.
_TILE = 64

# Rows of the scratch buffer: the affine map's sums, the state before all timesteps, its gradient
# after and before them, and the gradients of the current. LLVM sees from these numbers that rows do
# not overlap, and knows that scratch memory is no argument's.
_SUM_OFFSET, _SUM_SCALE, _STATE = 0, BLOCK, 2 * BLOCK
_GRAD_AFTER, _GRAD_BEFORE, _GRADS = _STATE + _TILE, _STATE + 2 * _TILE, _STATE + 3 * _TILE

Neuron = tuple[Callable[..., Any], Callable[..., Any]]
"""What `equations` returns."""

# An index without a sign is not taken to count from the end.
_U = np.uint64


@cache
def unrolled_kernel(
    timesteps: int,
    dtype: torch.dtype,
    reset: str,
    detach_reset: bool,
    surrogate: str,
    affine: bool,
    counts: bool,
) -> Kernel:
    """Compile what `backward_kernel` does without adaptation and gradients of parameters."""
    store = FORMATS[dtype].store
    neuron = equations(reset, detach_reset, surrogate, counts)
    walk = _walk(0, timesteps, dtype, neuron, affine)

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
        scratch = allocate(np.float32, _GRADS + timesteps * _TILE)
        num_blocks = (features + BLOCK - 1) // BLOCK
        for task in range(first, last):
            group = task // num_blocks
            begin = (task - group * num_blocks) * BLOCK
            end = min(begin + BLOCK, features)
            if affine:
                scratch[:_STATE] = ZERO
            for sample in range(group * group_size, min(batch, (group + 1) * group_size)):
                for here in range(begin, end, _TILE):
                    n = min(_TILE, end - here)
                    row = sample * features + here
                    fill(scratch[_STATE : _STATE + n], initial_membrane, row)
                    fill(scratch[_GRAD_AFTER : _GRAD_AFTER + n], grad_membrane, row)
                    given = (
                        scratch,
                        parameters,
                        (current, sample * current_strides[0] + here, current_strides[1]),
                        (
                            grad_spikes,
                            sample * grad_spikes_strides[0] + here,
                            grad_spikes_strides[1],
                        ),
                        (center, scale, offset, here),
                    )
                    for j in range(n):
                        dv, sum_offset, sum_scale = walk(scratch[_U(_STATE + j)], j, given)
                        scratch[_U(_GRAD_BEFORE + j)] = dv
                        if affine:
                            scratch[_U(_SUM_OFFSET + here - begin + j)] += sum_offset
                            scratch[_U(_SUM_SCALE + here - begin + j)] += sum_scale
                    for t in range(timesteps):
                        to = sample * grad_current_strides[0] + t * grad_current_strides[1] + here
                        dx = grad_current[to : to + n]
                        at = _GRADS + t * _TILE
                        grads = scratch[at : at + n]
                        for j in range(n):
                            dx[j] = store(grads[j])
                    if grad_initial_membrane.size:
                        before = scratch[_GRAD_BEFORE : _GRAD_BEFORE + n]
                        copy(before, grad_initial_membrane[row : row + n])
            if affine:
                for p in range(2):
                    sums = scratch[p * BLOCK : p * BLOCK + end - begin]
                    copy(sums, affine_sums[group, p, begin:end])
        release(scratch)

    return kernel


def _walk(
    t: int, timesteps: int, dtype: torch.dtype, neuron: Neuron, affine: bool
) -> Callable[..., Any]:
    """The timesteps from `t` on, there and back, as a function of the membrane before them.

    It returns the gradient of that membrane, and the sums for the affine map.
    """
    load, (fire, back) = FORMATS[dtype].load, neuron
    if t == timesteps:

        @register_jitable(forceinline=True)
        def end(v: Any, j: int, given: Any) -> Any:
            return given[0][_U(_GRAD_AFTER + j)], ZERO, ZERO

        return end

    later = _walk(t + 1, timesteps, dtype, neuron, affine)
    grads = _GRADS + t * _TILE

    @register_jitable(forceinline=True)
    def step(v: Any, j: int, given: Any) -> Any:
        scratch, parameters, (current, at, stride), (grad_spikes, grad_at, grad_stride), maps = (
            given
        )
        decay, threshold, _, _, most, slope = parameters
        i = load(current[_U(at + t * stride + j)])
        centred = i
        if affine:
            center, scale, offset, here = maps
            centred = i - center[_U(here + j)]
            i = centred * scale[_U(here + j)] + offset[_U(here + j)]
        pre = decay * v + i
        distance, fired, after = fire(pre, threshold, most)
        dv, sum_offset, sum_scale = later(after, j, given)
        ds = load(grad_spikes[_U(grad_at + t * grad_stride + j)])
        dpre, _ = back(pre, distance, fired, ds, dv, threshold, most, slope)
        scratch[_U(grads + j)] = dpre
        return decay * dpre, sum_offset + dpre, sum_scale + dpre * centred

    return step
