"""LIF on CPUs with Numba: one pass over the input forward, and one backward.

Forward keeps the membrane of a block of features in cache while it walks through time, reading the
input and writing the spikes once. Nothing is stored for backward: it repeats the walk over a block,
keeping that block's membranes in a scratch buffer, and returns through it.

Kernels see memory as flat arrays with a batch and a time stride; features are contiguous. A task is
one block of features of one sample. Arithmetic follows the reference operation by operation and
without contraction, so float32 spikes are bit-equal to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numba import njit
from numba.extending import register_jitable
from torch import Tensor

from spikeformer.ops._derivatives import DERIVATIVES, ONE, ZERO
from spikeformer.ops._formats import FORMATS
from spikeformer.ops._layout import as_rows, empty_rows_like
from spikeformer.ops._threads import run_tasks
from spikeformer.ops.surrogates import SURROGATES

_Kernel = Callable[..., None]

# Features per task: rows long enough to vectorise and prefetch, scratch small enough for L2.
# A compile-time constant lets LLVM see that rows of the scratch buffer do not overlap.
BLOCK = 1024

# Rows of backward's scratch buffer, each BLOCK long: gradients of the state, per-lane sums of the
# parameters' gradients, then the state before every timestep.
_GRAD_MEMBRANE, _GRAD_ADAPTATION = 0, BLOCK
_SUM_DECAY, _SUM_THRESHOLD = 2 * BLOCK, 3 * BLOCK
_SUM_ADAPTATION_DECAY, _SUM_STRENGTH = 4 * BLOCK, 5 * BLOCK
_HISTORY = 6 * BLOCK


@register_jitable
def _fill(row: Any, source: Any, offset: int) -> None:
    """Start a row from `source` at `offset`, or from zero where there is no source."""
    for j in range(row.size):
        row[j] = source[offset + j] if source.size else ZERO


@register_jitable
def _total(row: Any) -> Any:
    """Sum of a row of BLOCK, by halves: vectorises, and rounds less than one running sum."""
    width = BLOCK // 2
    while width > 0:
        for j in range(width):
            row[j] += row[width + j]
        width //= 2
    return row[0]


@cache
def _forward_kernel(dtype: torch.dtype, reset: str, adaptive: bool) -> _Kernel:
    _, load, store = FORMATS[dtype]
    to_zero = reset == "zero"

    @njit(nogil=True, cache=True, error_model="numpy")
    def kernel(
        first: int,
        last: int,
        shape: tuple[int, int],
        parameters: Any,
        current: Any,
        current_strides: tuple[int, int],
        initial_membrane: Any,
        initial_adaptation: Any,
        spikes: Any,
        spikes_strides: tuple[int, int],
        membrane: Any,
        adaptation: Any,
    ) -> None:
        timesteps, features = shape
        decay, threshold, adaptation_decay, strength = parameters
        num_blocks = (features + BLOCK - 1) // BLOCK
        for task in range(first, last):
            sample = task // num_blocks
            begin = (task - sample * num_blocks) * BLOCK
            n = min(BLOCK, features - begin)
            offset = sample * features + begin
            v = membrane[offset : offset + n]
            _fill(v, initial_membrane, offset)
            if adaptive:
                a = adaptation[offset : offset + n]
                _fill(a, initial_adaptation, offset)
            for t in range(timesteps):
                here = sample * current_strides[0] + t * current_strides[1] + begin
                x = current[here : here + n]
                here = sample * spikes_strides[0] + t * spikes_strides[1] + begin
                s = spikes[here : here + n]
                for j in range(n):
                    pre = decay * v[j] + load(x[j])
                    if adaptive:
                        pre = pre - a[j]
                    fired = ONE if pre - threshold >= ZERO else ZERO
                    s[j] = store(fired)
                    v[j] = pre * (ONE - fired) if to_zero else pre - threshold * fired
                    if adaptive:
                        a[j] = adaptation_decay * a[j] + strength * fired

    return kernel


@cache
def _backward_kernel(
    dtype: torch.dtype,
    reset: str,
    detach_reset: bool,
    surrogate: str,
    adaptive: bool,
    with_parameters: bool,
) -> _Kernel:
    _, load, store = FORMATS[dtype]
    to_zero = reset == "zero"
    derivative = DERIVATIVES[SURROGATES[surrogate].code]
    rows = 2 * BLOCK if adaptive else BLOCK

    @njit(nogil=True, cache=True, error_model="numpy")
    def kernel(
        first: int,
        last: int,
        shape: tuple[int, int],
        parameters: Any,
        current: Any,
        current_strides: tuple[int, int],
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
        scratch: Any,
    ) -> None:
        timesteps, features = shape
        decay, threshold, adaptation_decay, strength, slope = parameters
        num_blocks = (features + BLOCK - 1) // BLOCK
        for task in range(first, last):
            sample = task // num_blocks
            begin = (task - sample * num_blocks) * BLOCK
            n = min(BLOCK, features - begin)
            offset = sample * features + begin

            # Forward again, keeping the state before each timestep.
            _fill(scratch[_HISTORY : _HISTORY + n], initial_membrane, offset)
            if adaptive:
                start = _HISTORY + BLOCK
                _fill(scratch[start : start + n], initial_adaptation, offset)
            for t in range(timesteps - 1):
                here = sample * current_strides[0] + t * current_strides[1] + begin
                x = current[here : here + n]
                now = scratch[_HISTORY + t * rows : _HISTORY + (t + 2) * rows]
                for j in range(n):
                    pre = decay * now[j] + load(x[j])
                    if adaptive:
                        pre = pre - now[BLOCK + j]
                    fired = ONE if pre - threshold >= ZERO else ZERO
                    now[rows + j] = pre * (ONE - fired) if to_zero else pre - threshold * fired
                    if adaptive:
                        now[rows + BLOCK + j] = adaptation_decay * now[BLOCK + j] + strength * fired

            # Back through time.
            _fill(scratch[_GRAD_MEMBRANE : _GRAD_MEMBRANE + n], grad_membrane, offset)
            if adaptive:
                _fill(scratch[_GRAD_ADAPTATION : _GRAD_ADAPTATION + n], grad_adaptation, offset)
            if with_parameters:
                scratch[_SUM_DECAY:_HISTORY] = ZERO
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
                    pre = decay * v + load(x[j])
                    if adaptive:
                        a = now[BLOCK + j]
                        pre = pre - a
                    distance = pre - threshold
                    fired = ONE if distance >= ZERO else ZERO
                    dv = scratch[_GRAD_MEMBRANE + j]
                    ds = load(ds_out[j])
                    if adaptive:
                        da = scratch[_GRAD_ADAPTATION + j]
                        ds = ds + strength * da
                    if not detach_reset:
                        ds = ds - (pre if to_zero else threshold) * dv
                    through_spike = ds * derivative(distance, slope)
                    dpre = through_spike + (dv * (ONE - fired) if to_zero else dv)
                    dx[j] = store(dpre)
                    scratch[_GRAD_MEMBRANE + j] = decay * dpre
                    if adaptive:
                        scratch[_GRAD_ADAPTATION + j] = adaptation_decay * da - dpre
                    if with_parameters:
                        scratch[_SUM_DECAY + j] += dpre * v
                        dthreshold = through_spike if to_zero else through_spike + fired * dv
                        scratch[_SUM_THRESHOLD + j] -= dthreshold
                        if adaptive:
                            scratch[_SUM_ADAPTATION_DECAY + j] += da * a
                            scratch[_SUM_STRENGTH + j] += da * fired

            if grad_initial_membrane.size:
                for j in range(n):
                    grad_initial_membrane[offset + j] = scratch[_GRAD_MEMBRANE + j]
            if adaptive:
                for j in range(n):
                    grad_initial_adaptation[offset + j] = scratch[_GRAD_ADAPTATION + j]
            if with_parameters:
                for p in range(4 if adaptive else 2):
                    row = _SUM_DECAY + p * BLOCK
                    grad_parameters[task, p] = _total(scratch[row : row + BLOCK])

    return kernel


def forward(
    current: Tensor,
    membrane: Tensor | None,
    adaptation: Tensor | None,
    parameters: Tensor | Sequence[float],
    reset: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes, final membrane and final adaptation (empty if none) of a (b, t, f) current."""
    current = as_rows(current)
    batch, timesteps, features = current.shape
    spikes = empty_rows_like(current)
    final_membrane = torch.empty(batch, features)
    final_adaptation = torch.empty(0 if adaptation is None else final_membrane.shape)
    kernel = _forward_kernel(current.dtype, reset, adaptation is not None)
    arguments = (
        (timesteps, features),
        _numbers(parameters),
        *_strided(current),
        _flat(membrane),
        _flat(adaptation),
        *_strided(spikes),
        _flat(final_membrane),
        _flat(final_adaptation),
    )
    run_tasks(
        lambda first, last: kernel(first, last, *arguments),
        batch * -(-features // BLOCK),
        current.numel(),
    )
    return spikes, final_membrane, final_adaptation


def backward(
    current: Tensor,
    membrane: Tensor | None,
    adaptation: Tensor | None,
    parameters: Tensor | Sequence[float],
    reset: str,
    detach_reset: bool,
    surrogate: str,
    slope: float,
    grad_spikes: Tensor | None,
    grad_membrane: Tensor | None,
    grad_adaptation: Tensor | None,
    with_parameters: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of current, initial membrane, initial adaptation and parameters.

    Those of an absent initial state, or of parameters that need none, are empty.
    """
    current = as_rows(current)
    batch, timesteps, features = current.shape
    if grad_spikes is None:
        grad_spikes = current.new_zeros(1, 1, features).expand(current.shape)
    grad_current = empty_rows_like(current)
    grad_initial_membrane = torch.empty(0 if membrane is None else membrane.shape)
    grad_initial_adaptation = torch.empty(0 if adaptation is None else adaptation.shape)
    num_tasks = batch * -(-features // BLOCK)
    partial_sums = np.zeros((num_tasks if with_parameters else 0, 4))
    kernel = _backward_kernel(
        current.dtype, reset, detach_reset, surrogate, adaptation is not None, with_parameters
    )
    arguments = (
        (timesteps, features),
        (*_numbers(parameters), np.float32(slope)),
        *_strided(current),
        _flat(membrane),
        _flat(adaptation),
        *_strided(as_rows(grad_spikes)),
        _flat(grad_membrane),
        _flat(grad_adaptation),
        *_strided(grad_current),
        _flat(grad_initial_membrane),
        _flat(grad_initial_adaptation),
        partial_sums,
    )
    scratch_rows = _HISTORY + timesteps * (1 if adaptation is None else 2) * BLOCK

    def run(first: int, last: int) -> None:
        kernel(first, last, *arguments, np.empty(scratch_rows, np.float32))

    run_tasks(run, num_tasks, current.numel())
    # Summed per task, then over tasks in order: the result does not depend on the threads.
    grad_parameters = torch.from_numpy(partial_sums.sum(0) if with_parameters else np.empty(0))
    return grad_current, grad_initial_membrane, grad_initial_adaptation, grad_parameters.float()


def _numbers(parameters: Tensor | Sequence[float]) -> tuple[np.float32, ...]:
    numbers = parameters.tolist() if isinstance(parameters, Tensor) else parameters
    return tuple(map(np.float32, numbers))


def _flat(tensor: Tensor | None) -> Any:
    """A tensor's memory as a one-dimensional array, 16-bit floats as their bits; None as empty."""
    if tensor is None:
        return np.empty(0, np.float32)
    return tensor.detach().contiguous().view(FORMATS[tensor.dtype].memory).view(-1).numpy()


def _strided(x_btf: Tensor) -> tuple[Any, tuple[int, int]]:
    """The memory a tensor spans as a one-dimensional array, with its batch and time strides."""
    batch_stride, time_stride, _ = x_btf.stride()
    batch, timesteps, features = x_btf.shape
    span = (batch - 1) * batch_stride + (timesteps - 1) * time_stride + features
    flat = x_btf.as_strided((span if x_btf.numel() else 0,), (1,))
    return _flat(flat), (batch_stride, time_stride)
