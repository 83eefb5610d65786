"""The Numba kernels of `cpu.py`.

Kernels see memory as flat arrays with a batch and a time stride; features are contiguous. A task is
one block of features of a group of samples. Arithmetic follows the reference operation by operation
and without contraction, so float32 spikes are bit-equal to it.

With `counts`, one of `COUNTS`, neurons fire up to `most` spikes at once, which leave as a fraction
of `most`, and the gradient passes straight through the rounding.

With `affine`, neurons integrate `(current - center) * scale + offset`: batch norm on its way into
the membrane. There is one number of each for every feature, or for those of one task where all
tasks have the same numbers: then they stay in the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from numba.extending import register_jitable

from spikeformer.ops.compiling import compiled
from spikeformer.ops.derivatives import DERIVATIVES, ONE, ROUNDER, ZERO
from spikeformer.ops.formats import FORMATS
from spikeformer.ops.layout import BLOCK
from spikeformer.ops.scratch import allocate, release
from spikeformer.ops.surrogates import SURROGATES

Kernel = Callable[..., None]

POWERS_OF_TWO = "powers of two"
COUNTS = ("", POWERS_OF_TWO, "any")
"""Neurons with spikes 0 or 1, those whose threshold and D are powers of two, and other counts."""

# Rows of backward's scratch buffer, each BLOCK long: gradients of the state, per-lane sums of the
# parameters' gradients and of the affine map's, then the state before every timestep.
_GRAD_MEMBRANE, _GRAD_ADAPTATION = 0, BLOCK
_SUM_DECAY = 2 * BLOCK
_SUM_THRESHOLD, _SUM_ADAPTATION_DECAY, _SUM_STRENGTH = 3 * BLOCK, 4 * BLOCK, 5 * BLOCK
_SUM_OFFSET, _SUM_SCALE = 6 * BLOCK, 7 * BLOCK
_HISTORY = 8 * BLOCK


@register_jitable
def copy(source: Any, target: Any) -> None:
    """Copy a row; from an index that might count from the end, LLVM would gather its elements."""
    for j in range(target.size):
        target[j] = source[j]


@register_jitable
def fill(row: Any, source: Any, offset: int) -> None:
    """Start a row from `source` at `offset`, or from zero where there is no source."""
    if source.size:
        copy(source[offset : offset + row.size], row)
    else:
        row[:] = ZERO


@register_jitable
def _total(row: Any) -> Any:
    """Sum of a row of BLOCK, by halves: vectorises, and rounds less than one running sum."""
    width = BLOCK // 2
    while width > 0:
        for j in range(width):
            row[j] += row[width + j]
        width //= 2
    return row[0]


@register_jitable
def count(level: Any, most: Any) -> Any:
    """Round a membrane in units of its threshold to 0 to `most` spikes, ties to the even number."""
    # Each a single instruction, which lets NaN pass, as the membrane's does.
    positive = ZERO if level < ZERO else level
    clipped = most if positive > most else positive
    return (clipped + ROUNDER) - ROUNDER


def quotient(counts: str) -> Callable[..., Any]:
    """Division by the threshold or by D: by a power of two, an exact product."""

    @register_jitable(forceinline=True)
    def divide(x: Any, divisor: Any) -> Any:
        return x * (ONE / divisor) if counts == POWERS_OF_TWO else x / divisor

    return divide


def equations(
    reset: str, detach_reset: bool, surrogate: str, counts: str
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What a neuron does with the membrane that it has integrated, and how gradients come back."""
    to_zero, divide = reset == "zero", quotient(counts)
    derivative = DERIVATIVES[SURROGATES[surrogate].code]

    @register_jitable(forceinline=True)
    def fire(pre: Any, threshold: Any, most: Any) -> Any:
        """Distance to the threshold, spikes, and the membrane after them."""
        if counts:
            distance = divide(pre, threshold)
            fired = count(distance, most)
        else:
            distance = pre - threshold
            fired = ONE if distance >= ZERO else ZERO
        return distance, fired, (pre * (ONE - fired) if to_zero else pre - threshold * fired)

    # Gradients may be rounded less, and multiplied with the inverse of a parameter.
    @register_jitable(fastmath={"contract", "arcp"}, forceinline=True)
    def back(
        pre: Any,
        distance: Any,
        fired: Any,
        ds: Any,
        dv: Any,
        threshold: Any,
        most: Any,
        slope: Any,
    ) -> Any:
        """Gradient of the integrated membrane, and the part of it that came through the spikes."""
        if counts:
            ds = ds / most
        if not detach_reset:
            ds = ds - (pre if to_zero else threshold) * dv
        if counts:
            passes = ZERO <= distance <= most
            through_spike = ds / threshold if passes else ZERO
        else:
            through_spike = ds * derivative(distance, slope)
        return through_spike + (dv * (ONE - fired) if to_zero else dv), through_spike

    return fire, back


@cache
def backward_kernel(
    dtype: torch.dtype,
    reset: str,
    detach_reset: bool,
    surrogate: str,
    adaptive: bool,
    with_parameters: bool,
    affine: bool,
    counts: str,
) -> Kernel:
    """Compile the walk through time and back that writes gradients.

    With `affine`, `grad_current` is the gradient of what the neuron integrates, and `affine_sums`
    takes its sum and its product with `current - center`, for every group and feature.
    """
    _, load, store = FORMATS[dtype]
    to_zero = reset == "zero"
    fire, back = equations(reset, detach_reset, surrogate, counts)
    rows = 2 * BLOCK if adaptive else BLOCK

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
        batch, timesteps, features, group_size = shape
        decay, threshold, adaptation_decay, strength, most, slope = parameters
        scratch = allocate(np.float32, _HISTORY + timesteps * rows)
        width = min(BLOCK, center.size) if affine else BLOCK
        num_blocks = (features + width - 1) // width
        for task in range(first, last):
            group = task // num_blocks
            begin = (task - group * num_blocks) * width
            n = min(width, features - begin)
            if affine:
                at = begin % center.size
                c, k, o = center[at : at + n], scale[at : at + n], offset[at : at + n]
            scratch[_SUM_DECAY:_HISTORY] = ZERO
            for sample in range(group * group_size, min(batch, (group + 1) * group_size)):
                row = sample * features + begin

                # Forward again, keeping the state before each timestep.
                fill(scratch[_HISTORY : _HISTORY + n], initial_membrane, row)
                if adaptive:
                    start = _HISTORY + BLOCK
                    fill(scratch[start : start + n], initial_adaptation, row)
                for t in range(timesteps - 1):
                    here = sample * current_strides[0] + t * current_strides[1] + begin
                    x = current[here : here + n]
                    now = scratch[_HISTORY + t * rows : _HISTORY + (t + 2) * rows]
                    for j in range(n):
                        i = load(x[j])
                        if affine:
                            i = (i - c[j]) * k[j] + o[j]
                        pre = decay * now[j] + i
                        if adaptive:
                            pre = pre - now[BLOCK + j]
                        _, fired, now[rows + j] = fire(pre, threshold, most)
                        if adaptive:
                            now[rows + BLOCK + j] = (
                                adaptation_decay * now[BLOCK + j] + strength * fired
                            )

                # Back through time.
                fill(scratch[_GRAD_MEMBRANE : _GRAD_MEMBRANE + n], grad_membrane, row)
                if adaptive:
                    fill(scratch[_GRAD_ADAPTATION : _GRAD_ADAPTATION + n], grad_adaptation, row)
                for t in range(timesteps - 1, -1, -1):
                    here = sample * current_strides[0] + t * current_strides[1] + begin
                    x = current[here : here + n]
                    here = sample * grad_spikes_strides[0] + t * grad_spikes_strides[1] + begin
                    ds_out = grad_spikes[here : here + n]
                    here = sample * grad_current_strides[0] + t * grad_current_strides[1] + begin
                    dx = grad_current[here : here + n]
                    now = scratch[_HISTORY + t * rows : _HISTORY + (t + 1) * rows]
                    for j in range(n):
                        v = now[j]
                        i = load(x[j])
                        if affine:
                            centred = i - c[j]
                            i = centred * k[j] + o[j]
                        pre = decay * v + i
                        if adaptive:
                            a = now[BLOCK + j]
                            pre = pre - a
                        distance, fired, _ = fire(pre, threshold, most)
                        dv = scratch[_GRAD_MEMBRANE + j]
                        ds = load(ds_out[j])
                        if adaptive:
                            da = scratch[_GRAD_ADAPTATION + j]
                            ds = ds + strength * da
                        dpre, through_spike = back(
                            pre, distance, fired, ds, dv, threshold, most, slope
                        )
                        dx[j] = store(dpre)
                        scratch[_GRAD_MEMBRANE + j] = decay * dpre
                        if adaptive:
                            scratch[_GRAD_ADAPTATION + j] = adaptation_decay * da - dpre
                        if affine:
                            scratch[_SUM_OFFSET + j] += dpre
                            scratch[_SUM_SCALE + j] += dpre * centred
                        if with_parameters:
                            scratch[_SUM_DECAY + j] += dpre * v
                            dthreshold = through_spike
                            if counts:
                                dthreshold = through_spike * distance
                            if not to_zero:
                                dthreshold = dthreshold + fired * dv
                            scratch[_SUM_THRESHOLD + j] -= dthreshold
                            if adaptive:
                                scratch[_SUM_ADAPTATION_DECAY + j] += da * a
                                scratch[_SUM_STRENGTH + j] += da * fired

                if grad_initial_membrane.size:
                    start = _GRAD_MEMBRANE
                    copy(scratch[start : start + n], grad_initial_membrane[row : row + n])
                if adaptive:
                    start = _GRAD_ADAPTATION
                    copy(scratch[start : start + n], grad_initial_adaptation[row : row + n])

            if affine:
                for p in range(2):
                    start = _SUM_OFFSET + p * BLOCK
                    copy(scratch[start : start + n], affine_sums[group, p, begin : begin + n])
            if with_parameters:
                for p in range(4 if adaptive else 2):
                    sums = _SUM_DECAY + p * BLOCK
                    grad_parameters[task, p] = _total(scratch[sums : sums + BLOCK])
        release(scratch)

    return kernel
