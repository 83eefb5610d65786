"""Matches with Triton: every spike is read once, and a byte of each pair kept.

A program has rows of pairs and walks through their columns: channels where one spike of the other's
is for all of them, tokens otherwise, so that what is added up is always a row.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

# Rows and columns of a tile.
_ROWS, _COLUMNS = 64, 32


def forward(one: Tensor, other: Tensor, shared: str, total: bool) -> tuple[Tensor, Tensor]:
    """Matches, and how every pair is ordered: 0, 1, 2 for `other` >, =, < `one`."""
    shape = (*one.shape[:2], 1, *one.shape[3:]) if total else one.shape
    out = one.new_empty(shape, dtype=torch.float32 if total else one.dtype)
    order = one.new_empty(one.shape, dtype=torch.uint8)
    if order.numel() == 0:
        return out.zero_(), order
    pairs = _pairs(order, shared)
    strides = (_strides(x.expand(one.shape), shared) for x in (one, other, out, order))
    with torch.cuda.device_of(one):  # type: ignore[no-untyped-call]
        _forward_kernel[_grid(order, pairs)](
            one, other, out, order, *pairs, *strides, TOTAL=total, **_tile(pairs)
        )
    return out, order


def backward(order: Tensor, grad: Tensor, dtype: torch.dtype, shared: str) -> tuple[Tensor, Tensor]:
    """Gradients of both in `dtype`; that of the second, if shared, in float32."""
    sizes = list(order.shape)
    if shared:
        sizes[2 if shared == "tokens" else -1] = 1
    grad_one = order.new_empty(order.shape, dtype=dtype)
    grad_other = order.new_empty(sizes, dtype=torch.float32 if shared else dtype)
    if order.numel() == 0:
        return grad_one, grad_other.zero_()
    pairs = _pairs(order, shared)
    tensors = (order, grad.expand(order.shape), grad_one, grad_other.expand(order.shape))
    with torch.cuda.device_of(order):  # type: ignore[no-untyped-call]
        _backward_kernel[_grid(order, pairs)](
            order,
            grad,
            grad_one,
            grad_other,
            *pairs,
            *(_strides(x, shared) for x in tensors),
            SHARED=bool(shared),
            **_tile(pairs),
        )
    return grad_one, grad_other


def _pairs(order: Tensor, shared: str) -> tuple[int, int, int, int]:
    """Timesteps, outer and inner rows, and columns."""
    _, timesteps, tokens, *heads, channels = order.shape
    num_heads = heads[0] if heads else 1
    if shared == "channels":
        return timesteps, tokens, num_heads, channels
    return timesteps, num_heads, channels, tokens


def _strides(x: Tensor, shared: str) -> tuple[int, ...]:
    """Strides of samples, and of the axes of `_pairs`."""
    batch, timesteps, tokens, *heads, channels = x.stride()
    of_heads = heads[0] if heads else 0
    if shared == "channels":
        return batch, timesteps, tokens, of_heads, channels
    return batch, timesteps, of_heads, channels, tokens


def _grid(order: Tensor, pairs: tuple[int, ...]) -> tuple[int]:
    timesteps, outer, inner, _ = pairs
    return (order.shape[0] * timesteps * triton.cdiv(outer * inner, _ROWS),)


def _tile(pairs: tuple[int, ...]) -> dict[str, Any]:
    return {"ROWS": _ROWS, "COLUMNS": min(_COLUMNS, triton.next_power_of_2(pairs[-1]))}


@triton.jit
def _place(
    timesteps: tl.tensor, outer: tl.tensor, inner: tl.tensor, ROWS: tl.constexpr
) -> tl.tuple:
    """A program's sample, timestep, outer and inner rows, and which of them there are."""
    num_blocks = tl.cdiv(outer * inner, ROWS)
    step = tl.program_id(0) // num_blocks
    row = tl.program_id(0) % num_blocks * ROWS + tl.arange(0, ROWS)
    t = tl.cast(step % timesteps, tl.int64)
    sample = tl.cast(step // timesteps, tl.int64)
    first, second = tl.cast(row // inner, tl.int64), tl.cast(row % inner, tl.int64)
    return sample, t, first, second, row < outer * inner


@triton.jit
def _offsets(place: tl.tuple, strides: tl.tuple) -> tl.tensor:
    """Offsets of a program's rows, (rows, 1)."""
    sample, t, first, second, _ = place
    start = sample * strides[0] + t * strides[1]
    return (start + first * strides[2] + second * strides[3])[:, None]


@triton.jit
def _forward_kernel(
    one: tl.tensor,
    other: tl.tensor,
    out: tl.tensor,
    order: tl.tensor,
    timesteps: tl.tensor,
    outer: tl.tensor,
    inner: tl.tensor,
    columns: tl.tensor,
    one_strides: tl.tuple,
    other_strides: tl.tuple,
    out_strides: tl.tuple,
    order_strides: tl.tuple,
    TOTAL: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    place = _place(timesteps, outer, inner, ROWS)
    one += _offsets(place, one_strides)
    other += _offsets(place, other_strides)
    out += _offsets(place, out_strides)
    order += _offsets(place, order_strides)
    live = place[4][:, None]
    total = tl.zeros((ROWS,), tl.float32)
    for start in range(0, columns, COLUMNS):
        column = (start + tl.arange(0, COLUMNS)).to(tl.int64)[None, :]
        mask = live & (column < columns)
        a = tl.load(one + column * one_strides[4], mask=mask, other=0.0).to(tl.float32)
        b = tl.load(other + column * other_strides[4], mask=mask, other=0.0).to(tl.float32)
        # NaN passes.
        match = tl.where((b < a) | (b != b), b, a)
        ordered = (b < a).to(tl.int32) + (b <= a).to(tl.int32)
        tl.store(order + column * order_strides[4], ordered.to(tl.uint8), mask=mask)
        if TOTAL:
            total += tl.sum(match, axis=1)
        else:
            tl.store(out + column * out_strides[4], match, mask=mask)
    if TOTAL:
        tl.store(out, total[:, None], mask=live)


@triton.jit
def _backward_kernel(
    order: tl.tensor,
    grad: tl.tensor,
    grad_one: tl.tensor,
    grad_other: tl.tensor,
    timesteps: tl.tensor,
    outer: tl.tensor,
    inner: tl.tensor,
    columns: tl.tensor,
    order_strides: tl.tuple,
    grad_strides: tl.tuple,
    one_strides: tl.tuple,
    other_strides: tl.tuple,
    SHARED: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    place = _place(timesteps, outer, inner, ROWS)
    order += _offsets(place, order_strides)
    grad += _offsets(place, grad_strides)
    grad_one += _offsets(place, one_strides)
    grad_other += _offsets(place, other_strides)
    live = place[4][:, None]
    total = tl.zeros((ROWS,), tl.float32)
    for start in range(0, columns, COLUMNS):
        column = (start + tl.arange(0, COLUMNS)).to(tl.int64)[None, :]
        mask = live & (column < columns)
        ordered = tl.load(order + column * order_strides[4], mask=mask, other=0)
        x = tl.load(grad + column * grad_strides[4], mask=mask, other=0.0).to(tl.float32)
        given = 0.5 * ordered.to(tl.float32) * x
        tl.store(grad_one + column * one_strides[4], x - given, mask=mask)
        if SHARED:
            total += tl.sum(given, axis=1)
        else:
            tl.store(grad_other + column * other_strides[4], given, mask=mask)
    if SHARED:
        tl.store(grad_other, total[:, None], mask=live)
