"""Batch norm's share of `norm_lif` on CPUs: its sums over the batch and the end of its gradient.

Everything between is done by the kernels of `lif` while they read the current.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from spikeformer.ops.compiling import compiled
from spikeformer.ops.derivatives import ZERO
from spikeformer.ops.formats import FORMATS, flat, strided
from spikeformer.ops.layout import BLOCK
from spikeformer.ops.lif.cpu import Tasks
from spikeformer.ops.threads import run_tasks


@cache
def _sums_kernel(dtype: torch.dtype) -> Callable[..., None]:
    load = FORMATS[dtype].load

    @compiled(error_model="numpy")
    def kernel(
        first: int,
        last: int,
        shape: tuple[int, int, int, int],
        current: Any,
        current_strides: tuple[int, int],
        around: Any,
        sums: Any,
    ) -> None:
        batch, timesteps, features, group_size = shape
        width = min(BLOCK, around.size)
        num_blocks = (features + width - 1) // width
        for task in range(first, last):
            group = task // num_blocks
            begin = (task - group * num_blocks) * width
            n = min(width, features - begin)
            at = begin % around.size
            c = around[at : at + n]
            row = 2 * group * features + begin
            distance = sums[row : row + n]
            square = sums[row + features : row + features + n]
            distance[:] = ZERO
            square[:] = ZERO
            for sample in range(group * group_size, min(batch, (group + 1) * group_size)):
                for t in range(timesteps):
                    here = sample * current_strides[0] + t * current_strides[1] + begin
                    x = current[here : here + n]
                    for j in range(n):
                        centred = load(x[j]) - c[j]
                        distance[j] += centred
                        square[j] += centred * centred

    return kernel


@cache
def _finish_kernel(dtype: torch.dtype) -> Callable[..., None]:
    _, load, store = FORMATS[dtype]

    @compiled(error_model="numpy")
    def kernel(
        first: int,
        last: int,
        shape: tuple[int, int, int, int],
        grad: Any,
        grad_strides: tuple[int, int],
        current: Any,
        current_strides: tuple[int, int],
        center: Any,
        scale: Any,
        shift: Any,
        tilt: Any,
    ) -> None:
        _, timesteps, features, _ = shape
        width = min(BLOCK, center.size)
        num_blocks = (features + width - 1) // width
        for task in range(first, last):
            sample = task // num_blocks
            begin = (task - sample * num_blocks) * width
            n = min(width, features - begin)
            at = begin % center.size
            c, k = center[at : at + n], scale[at : at + n]
            m, s = shift[at : at + n], tilt[at : at + n]
            for t in range(timesteps):
                here = sample * current_strides[0] + t * current_strides[1] + begin
                x = current[here : here + n]
                here = sample * grad_strides[0] + t * grad_strides[1] + begin
                g = grad[here : here + n]
                for j in range(n):
                    g[j] = store(k[j] * (load(g[j]) - m[j] - (load(x[j]) - c[j]) * s[j]))

    return kernel


def sums_around(current: Tensor, around: Tensor) -> Tensor:
    """Sums over batch and time of `current - around` and of its square: (b, t, f) to (2, f)."""
    tasks = Tasks.of(current, around, sums=True)
    sums = around.new_empty(tasks.num_groups, 2, current.shape[2])
    kernel = _sums_kernel(current.dtype)
    arguments = (tasks.shape, *strided(current), flat(around), flat(sums))
    run_tasks(kernel, arguments, tasks.num_tasks, current.numel())
    return sums.sum(0)


def finish_gradient(
    grad: Tensor, current: Tensor, center: Tensor, scale: Tensor, shift: Tensor, tilt: Tensor
) -> None:
    """Overwrite `grad` with `scale (grad - shift - (current - center) tilt)`, both (b, t, f)."""
    tasks = Tasks.of(grad, center)
    kernel = _finish_kernel(grad.dtype)
    vectors = (center, scale, shift, tilt)
    arguments = (tasks.shape, *strided(grad), *strided(current), *map(flat, vectors))
    run_tasks(kernel, arguments, tasks.num_tasks, grad.numel())
