"""Batch norm and pooling on CPUs with Numba.

Pictures are (n, h, w, c). A pixel is normalised whenever one of the windows that it lies in is
looked at: at most four times, which costs less than writing it down and reading it again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeformer.ops.compiling import compiled
from spikeformer.ops.derivatives import ZERO
from spikeformer.ops.formats import FORMATS, flat
from spikeformer.ops.memory import empty_like
from spikeformer.ops.norm_lif.cpu import finish_gradient
from spikeformer.ops.scratch import allocate, release
from spikeformer.ops.threads import run_tasks

_LOWEST = np.float32(-np.inf)


def forward(rows: Tensor, center: Tensor, factor: Tensor, offset: Tensor) -> Tensor:
    """Maxima of `(rows - center) factor + offset`, (n, ceil(h / 2), ceil(w / 2), c)."""
    n, height, width, channels = rows.shape
    out = empty_like(rows, (n, -(-height // 2), -(-width // 2), channels))
    vectors = (flat(vector.float()) for vector in (center, factor, offset))
    arguments = (tuple(rows.shape[1:]), flat(rows), *vectors, flat(out))
    run_tasks(_forward_kernel(rows.dtype), arguments, n * out.shape[1], rows.numel())
    return out


def backward(
    rows: Tensor,
    center: Tensor,
    factor: Tensor,
    inverse_std: Tensor,
    grad: Tensor,
    from_batch: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient of `rows`, and the sums of `grad` and of its product with `rows - center`."""
    n, channels = rows.shape[0], rows.shape[3]
    grad_rows = empty_like(rows, rows.shape)
    sums = torch.empty(n, 2, channels)
    vectors = tuple(vector.float() for vector in (center, factor))
    pooled = flat(grad.to(rows.dtype).contiguous())
    arguments = (tuple(rows.shape[1:]), flat(rows), *map(flat, vectors), pooled, flat(grad_rows))
    # A picture is one task: windows overlap.
    run_tasks(_scatter_kernel(rows.dtype), (*arguments, flat(sums)), n, rows.numel())
    total, product = sums.sum(0)
    count = rows.numel() // channels if from_batch else torch.inf
    finish_gradient(
        grad_rows.flatten(1, 2),
        rows.detach().flatten(1, 2),
        center,
        factor,
        total / count,
        product * inverse_std.square() / count,
    )
    return grad_rows, total, product


@cache
def _forward_kernel(dtype: torch.dtype) -> Callable[..., None]:
    _, load, store = FORMATS[dtype]

    @compiled(error_model="numpy")
    def kernel(
        first: int,
        last: int,
        shape: tuple[int, int, int],
        rows: Any,
        center: Any,
        factor: Any,
        offset: Any,
        out: Any,
    ) -> None:
        height, width, channels = shape
        out_height, out_width = (height + 1) // 2, (width + 1) // 2
        best = allocate(np.float32, channels)
        for task in range(first, last):
            n = task // out_height
            i = task - n * out_height
            for j in range(out_width):
                best[:] = _LOWEST
                for y in range(max(0, 2 * i - 1), min(height, 2 * i + 2)):
                    for x in range(max(0, 2 * j - 1), min(width, 2 * j + 2)):
                        here = ((n * height + y) * width + x) * channels
                        pixel = rows[here : here + channels]
                        for c in range(channels):
                            value = (load(pixel[c]) - center[c]) * factor[c]
                            # A NaN stays, as in torch.
                            better = (value > best[c]) | (value != value)
                            best[c] = value if better else best[c]
                here = (task * out_width + j) * channels
                maxima = out[here : here + channels]
                for c in range(channels):
                    maxima[c] = store(best[c] + offset[c])
        release(best)

    return kernel


@cache
def _scatter_kernel(dtype: torch.dtype) -> Callable[..., None]:
    _, load, store = FORMATS[dtype]

    @compiled(error_model="numpy")
    def kernel(
        first: int,
        last: int,
        shape: tuple[int, int, int],
        rows: Any,
        center: Any,
        factor: Any,
        grad: Any,
        grad_rows: Any,
        sums: Any,
    ) -> None:
        height, width, channels = shape
        out_height, out_width = (height + 1) // 2, (width + 1) // 2
        best, distance = allocate(np.float32, channels), allocate(np.float32, channels)
        place = allocate(np.int32, channels)
        for n in range(first, last):
            grad_rows[n * height * width * channels : (n + 1) * height * width * channels] = 0
            total = sums[2 * n * channels : (2 * n + 1) * channels]
            product = sums[(2 * n + 1) * channels : (2 * n + 2) * channels]
            total[:] = ZERO
            product[:] = ZERO
            for i in range(out_height):
                for j in range(out_width):
                    top, bottom = max(0, 2 * i - 1), min(height, 2 * i + 2)
                    left, right = max(0, 2 * j - 1), min(width, 2 * j + 2)
                    best[:] = _LOWEST
                    place[:] = 0
                    for y in range(top, bottom):
                        for x in range(left, right):
                            here = ((n * height + y) * width + x) * channels
                            pixel = rows[here : here + channels]
                            position = np.int32(3 * (y - top) + x - left)
                            for c in range(channels):
                                centred = load(pixel[c]) - center[c]
                                value = centred * factor[c]
                                better = (value > best[c]) | (value != value)
                                best[c] = value if better else best[c]
                                distance[c] = centred if better else distance[c]
                                place[c] = position if better else place[c]
                    here = ((n * out_height + i) * out_width + j) * channels
                    upstream = grad[here : here + channels]
                    for c in range(channels):
                        g = load(upstream[c])
                        total[c] += g
                        product[c] += g * distance[c]
                    for y in range(top, bottom):
                        for x in range(left, right):
                            here = ((n * height + y) * width + x) * channels
                            pixel = grad_rows[here : here + channels]
                            position = np.int32(3 * (y - top) + x - left)
                            for c in range(channels):
                                g = load(upstream[c]) if place[c] == position else ZERO
                                pixel[c] = store(load(pixel[c]) + g)
        release(best)
        release(distance)
        release(place)

    return kernel
