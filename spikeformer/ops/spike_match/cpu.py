"""Matches on CPUs with Numba: every spike is read once, and a byte of each pair kept.

A task is one timestep of one sample. Axes: b batch, t timesteps, n tokens, f features.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import prod
from typing import Any

import numpy as np
import torch
from numba.extending import register_jitable
from torch import Tensor

from spikeformer.ops.compiling import compiled
from spikeformer.ops.derivatives import HALF, ZERO
from spikeformer.ops.formats import FORMATS, flat, strided
from spikeformer.ops.memory import empty_like
from spikeformer.ops.scratch import alone
from spikeformer.ops.threads import run_tasks

Kernel = Callable[..., None]

Shape = tuple[int, int, int, int]
"""Timesteps, tokens, groups of features that share a spike of the other's, features of a group."""

Strides = tuple[int, int, int]
"""Of samples, timesteps and tokens."""

# An index without a sign is not taken to count from the end.
_U = np.uint64


def forward(one: Tensor, other: Tensor, shared: str, total: bool) -> tuple[Tensor, Tensor]:
    """Matches, and how every pair is ordered: 0, 1, 2 for `other` >, =, < `one`."""
    shape = (*one.shape[:2], 1, *one.shape[3:]) if total else one.shape
    out = empty_like(one, shape, torch.float32 if total else one.dtype)
    order = empty_like(one, one.shape, torch.uint8)
    others = _rows(other if shared == "channels" else other.expand(one.shape))
    arguments = (
        _shape(one.shape, shared),
        *strided(_rows(one)),
        *strided(others),
        flat(out),
        order.view(-1).numpy(),
    )
    kernel = _forward_kernel(one.dtype, shared == "channels", total)
    run_tasks(kernel, arguments, one.shape[0] * one.shape[1], one.numel())
    return out, order


def backward(order: Tensor, grad: Tensor, dtype: torch.dtype, shared: str) -> tuple[Tensor, Tensor]:
    """Gradients of both in `dtype`; that of the second, if shared, in float32."""
    batch, timesteps, tokens, *features = order.shape
    reduced = {"tokens": (1, *features), "channels": (tokens, *features[:-1])}
    sizes = reduced.get(shared, (tokens, *features))
    grad_one = empty_like(grad, order.shape, dtype)
    grad_other = empty_like(grad, (batch, timesteps, *sizes), torch.float32 if shared else dtype)
    arguments = (
        _shape(order.shape, shared),
        order.view(-1).numpy(),
        *strided(_rows(grad.expand(order.shape))),
        flat(grad_one),
        flat(grad_other),
    )
    kernel = _backward_kernel(grad.dtype, dtype, shared)
    run_tasks(kernel, arguments, batch * timesteps, 2 * order.numel())
    return grad_one, grad_other


def _shape(shape: torch.Size, shared: str) -> Shape:
    width = shape[-1] if shared == "channels" else prod(shape[3:])
    return shape[1], shape[2], prod(shape[3:]) // max(1, width), width


def _rows(x: Tensor) -> Tensor:
    """(b, t, n, f) with contiguous features, as a view where memory allows."""
    rows = x.flatten(3) if x.dim() > 4 else x
    return rows if rows.stride(3) == 1 else rows.contiguous()


@register_jitable
def _start(task: int, token: int, timesteps: int, strides: Strides) -> int:
    sample = task // timesteps
    return sample * strides[0] + (task - sample * timesteps) * strides[1] + token * strides[2]


@cache
def _forward_kernel(dtype: torch.dtype, by_group: bool, total: bool) -> Kernel:
    """Compile the minima, or their sums, and the order of every pair."""
    _, load, store = FORMATS[dtype]

    @compiled(error_model="numpy")
    def kernel(
        first: int,
        last: int,
        shape: Shape,
        one: Any,
        one_strides: Strides,
        other: Any,
        other_strides: Strides,
        out: Any,
        order: Any,
    ) -> None:
        timesteps, tokens, groups, width = shape
        features = groups * width
        size = tokens * features
        for task in range(first, last):
            order_of_task = alone(order[task * size : (task + 1) * size])
            if total:
                out_of_task = alone(out[task * features : (task + 1) * features])
                out_of_task[:] = ZERO
            else:
                out_of_task = alone(out[task * size : (task + 1) * size])
            for n in range(tokens):
                here = _start(task, n, timesteps, one_strides)
                there = _start(task, n, timesteps, other_strides)
                for group in range(groups):
                    start = group * width
                    pair = n * features + start
                    to = start if total else pair
                    shared = load(other[there + group]) if by_group else ZERO
                    for j in range(width):
                        a = load(one[_U(here + start + j)])
                        b = shared if by_group else load(other[_U(there + start + j)])
                        # NaN passes.
                        match = b if b < a or b != b else a
                        z = out_of_task[_U(to + j)] + match if total else store(match)
                        out_of_task[_U(to + j)] = z
                        order_of_task[_U(pair + j)] = np.uint8(b < a) + np.uint8(b <= a)

    return kernel


@cache
def _backward_kernel(of_grad: torch.dtype, dtype: torch.dtype, shared: str) -> Kernel:
    """Compile the shares of both in every gradient."""
    load, store = FORMATS[of_grad].load, FORMATS[dtype].store

    # Sums over channels in the order that a processor's vectors have.
    @compiled(error_model="numpy", fastmath={"reassoc"})
    def kernel(
        first: int,
        last: int,
        shape: Shape,
        order: Any,
        grad: Any,
        strides: Strides,
        grad_one: Any,
        grad_other: Any,
    ) -> None:
        timesteps, tokens, groups, width = shape
        features = groups * width
        size = tokens * features
        others = features if shared == "tokens" else size
        if shared == "channels":
            others = tokens * groups
        for task in range(first, last):
            kept = alone(grad_one[task * size : (task + 1) * size])
            others_of_task = alone(grad_other[task * others : (task + 1) * others])
            if shared == "tokens":
                others_of_task[:] = ZERO
            for n in range(tokens):
                here = _start(task, n, timesteps, strides)
                for group in range(groups):
                    start = group * width
                    pair = n * features + start
                    total = ZERO
                    for j in range(width):
                        x = load(grad[_U(here + start + j)])
                        given = HALF * np.float32(order[_U(task * size + pair + j)]) * x
                        kept[_U(pair + j)] = store(x - given)
                        if shared == "channels":
                            total += given
                        elif shared == "tokens":
                            others_of_task[_U(start + j)] += given
                        else:
                            others_of_task[_U(pair + j)] = store(given)
                    if shared == "channels":
                        others_of_task[n * groups + group] = total

    return kernel
