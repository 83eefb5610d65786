"""Rules for what a network's own code does to tensors: sums, scaling, products of spikes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikeformer.hardware.ir.firing import packing_base
from spikeformer.hardware.ir.operators import TokenLinear
from spikeformer.hardware.lowering.builder import GraphBuilder
from spikeformer.hardware.lowering.current import Current
from spikeformer.hardware.lowering.registry import computes, refuses_operator
from spikeformer.hardware.lowering.rules.affine import affine
from spikeformer.hardware.lowering.traced import (
    Rows,
    TracedTensor,
    aten,
    elementwise,
    joined,
    reduced,
)
from spikeformer.i18n import t

refuses_operator("hardware.is_softmax", aten._softmax)
refuses_operator("hardware.is_layer_norm", aten.native_layer_norm)
refuses_operator("hardware.is_relu", aten.relu)
refuses_operator("hardware.is_gelu", aten.gelu)
refuses_operator("hardware.divides", aten.reciprocal)


@computes(aten.add)
def add(builder: GraphBuilder, x: Any, y: Any, alpha: float = 1) -> TracedTensor:
    """Add tensors, or a tensor and numbers."""
    if isinstance(x, TracedTensor) and isinstance(y, TracedTensor):
        return elementwise(x, y, lambda a, b: a.add(b if alpha == 1 else b.scale(alpha)))
    if not isinstance(x, TracedTensor):
        return add(builder, multiply(builder, y, alpha), x)
    return elementwise(x, _numbers(alpha * y), lambda a, b: a.shift(b.bias))


@computes(aten.sub)
def subtract(builder: GraphBuilder, x: Any, y: Any, alpha: float = 1) -> TracedTensor:
    """Subtract `y` from `x`."""
    return add(builder, x, y, -alpha)


@computes(aten.rsub)
def subtract_from(builder: GraphBuilder, x: Any, y: Any, alpha: float = 1) -> TracedTensor:
    """Subtract `x` from `y`."""
    return add(builder, y, x, -alpha)


@computes(aten.neg)
def negate(builder: GraphBuilder, x: TracedTensor) -> TracedTensor:
    """Turn the sign."""
    return multiply(builder, x, -1.0)


@computes(aten.mul)
def multiply(builder: GraphBuilder, x: Any, y: Any) -> TracedTensor:
    """Scale by numbers, or let spikes coincide."""
    if isinstance(x, TracedTensor) and isinstance(y, TracedTensor):
        return _coincidence(builder, x, y)
    traced, numbers = (x, y) if isinstance(x, TracedTensor) else (y, x)
    if not isinstance(numbers, Tensor):
        return TracedTensor(traced.current.scale(float(numbers)), traced.index)
    return elementwise(traced, _numbers(numbers), lambda a, b: a.scale(b.bias))


@computes(aten.minimum)
def minimum(builder: GraphBuilder, x: Any, y: Any) -> TracedTensor:
    """Let graded spikes coincide: neurons without memory send the smaller of two counts."""
    traced = isinstance(x, TracedTensor) and isinstance(y, TracedTensor)
    levels = builder.levels(x.current) if traced else None
    if levels is None or builder.levels(y.current) != levels:
        raise builder.refuse(t("hardware.dynamic_product"))
    base = packing_base(levels)
    packed = elementwise(x, y, lambda a, b: a.scale(levels).add(b.scale(levels * base)))
    rows = Rows(packed, packed.ndim - 2)
    return builder.neurons(
        rows.features.rounded(),
        packed.shape[2:],
        decay=0.0,
        threshold=1.0,
        name=f"{builder.path}.coincidence",
        rule="minimum",
        levels=levels,
    )


@computes(aten.div)
def divide(builder: GraphBuilder, x: Any, y: Any) -> TracedTensor:
    """Divide by numbers."""
    if isinstance(y, TracedTensor):
        raise builder.refuse(t("hardware.divides"))
    return multiply(builder, x, 1 / torch.as_tensor(y, dtype=torch.float64))


@computes(aten.sum)
def total(
    builder: GraphBuilder,
    x: TracedTensor,
    dim: Sequence[int] | None = None,
    keepdim: bool = False,
    dtype: Any = None,
) -> TracedTensor:
    """Sum over axes."""
    rows, shape = reduced(x, dim or range(x.ndim), keepdim=keepdim)
    ones = TokenLinear(np.ones((1, rows.width)), rows.count)
    summed = rows.rebuild(rows.features.map(ones), ()).reshape(shape)
    assert isinstance(summed, TracedTensor)
    return summed


@computes(aten.mean)
def mean(
    builder: GraphBuilder,
    x: TracedTensor,
    dim: Sequence[int] | None = None,
    keepdim: bool = False,
    dtype: Any = None,
) -> TracedTensor:
    """Average over axes."""
    summed = total(builder, x, dim, keepdim)
    return multiply(builder, summed, summed.numel() / x.numel())


@computes(aten.cumsum)
def accumulate(builder: GraphBuilder, x: TracedTensor, dim: int, dtype: Any = None) -> TracedTensor:
    """Sum up to each place of an axis."""
    moved = x.movedim(dim, -1)
    assert isinstance(moved, TracedTensor)
    rows = Rows(moved, 1)
    lower = TokenLinear(np.tril(np.ones((rows.width, rows.width))), rows.count)
    sums = rows.rebuild(rows.features.map(lower), (rows.width,)).movedim(-1, dim)
    assert isinstance(sums, TracedTensor)
    return sums


@computes(aten.mm, aten.bmm)
def matrix_product(builder: GraphBuilder, x: Any, y: Any) -> TracedTensor:
    """Multiply by a matrix of numbers: `F.linear(x, self.w)` and `x @ self.w`."""
    if isinstance(x, TracedTensor) and isinstance(y, TracedTensor):
        raise builder.refuse(t("hardware.dynamic_product"))
    if isinstance(y, TracedTensor):
        turned = matrix_product(builder, y.transpose(-1, -2), x.transpose(-1, -2))
        product = turned.transpose(-1, -2)
        assert isinstance(product, TracedTensor)
        return product
    if y.ndim == 3:
        if y.stride(0) and not (y == y[:1]).all():
            # A matrix for each of the first axis: side by side, one at a time.
            parts = [matrix_product(builder, each, y[i]) for i, each in enumerate(x.unbind(0))]
            return stack(builder, parts)
        y = y[0]
    rows = Rows(x, 1)
    current = rows.features.map(TokenLinear(y.T.numpy(force=True).astype(np.float64), rows.count))
    for operator in current.terms.values():
        builder.note_weights(operator)
    return rows.rebuild(current, (y.shape[1],))


@computes(aten.mv)
def product_with_vector(builder: GraphBuilder, x: Any, y: Any) -> TracedTensor:
    """Multiply by a vector of numbers."""
    product = matrix_product(builder, x, y.unsqueeze(-1)).squeeze(-1)
    assert isinstance(product, TracedTensor)
    return product


@computes(aten.constant_pad_nd)
def pad(
    builder: GraphBuilder, x: TracedTensor, widths: Sequence[int], value: float = 0.0
) -> TracedTensor:
    """Put a number around a tensor, or cut it where a width is negative."""
    for i, (before, behind) in enumerate(zip(widths[::2], widths[1::2], strict=True)):
        axis, size = x.ndim - 1 - i, x.shape[x.ndim - 1 - i]
        kept = x.narrow(axis, max(0, -before), size - max(0, -before) - max(0, -behind))
        shapes = [[*x.shape[:axis], max(0, n), *x.shape[axis + 1 :]] for n in (before, behind)]
        around = [torch.full(shape, value, dtype=torch.float64) for shape in shapes]
        parts = [part for part in (around[0], kept, around[1]) if part.numel()]
        x = concatenate(builder, parts, axis)
    return x


@computes(aten.addmm, aten.baddbmm)
def add_product(
    builder: GraphBuilder, bias: Any, x: Any, y: Any, beta: float = 1, alpha: float = 1
) -> TracedTensor:
    """Multiply by a matrix of numbers and add a bias."""
    product = multiply(builder, matrix_product(builder, x, y), float(alpha))
    return add(builder, product, bias, float(beta))


@computes(aten._adaptive_avg_pool2d)
def adaptive_average(builder: GraphBuilder, x: TracedTensor, size: Sequence[int]) -> TracedTensor:
    """Average down to a size; `F.adaptive_avg_pool1d` comes as one row."""
    return affine(builder, nn.AdaptiveAvgPool2d(tuple(size)), x, 3)


@computes(aten.cat)
def concatenate(builder: GraphBuilder, tensors: Sequence[Any], dim: int = 0) -> TracedTensor:
    """Put tensors one behind the other."""
    traced = [x if isinstance(x, TracedTensor) else _numbers(x) for x in tensors]
    return joined(traced, dim % traced[0].ndim)


@computes(aten.stack)
def stack(builder: GraphBuilder, tensors: Sequence[Any], dim: int = 0) -> TracedTensor:
    """Put tensors one behind the other along an axis of their own."""
    return concatenate(builder, [x.unsqueeze(dim) for x in tensors], dim)


@computes(aten._to_copy, aten.to)
def convert(builder: GraphBuilder, x: TracedTensor, *_: Any, **__: Any) -> TracedTensor:
    """Keep float64, whatever the network converts to."""
    return x


def _numbers(values: Any) -> TracedTensor:
    """Return plain numbers as a current without terms."""
    # Equal numbers are one feature, so that they are the same one in every timestep.
    plain, index = torch.unique(torch.as_tensor(values, dtype=torch.float64), return_inverse=True)
    return TracedTensor(Current({}, plain.numpy(), constant=True), index)


def _coincidence(builder: GraphBuilder, x: TracedTensor, y: TracedTensor) -> TracedTensor:
    """Add neurons without memory that fire where both inputs do."""
    if not (builder.is_binary(x.current) and builder.is_binary(y.current)):
        raise builder.refuse(t("hardware.dynamic_product"))
    # The sum is 0, 1 or 2.
    both = elementwise(x, y, lambda a, b: a.add(b))
    rows = Rows(both, both.ndim - 2)
    name = f"{builder.path}.coincidence"
    return builder.neurons(rows.features, both.shape[2:], decay=0.0, threshold=1.5, name=name)
