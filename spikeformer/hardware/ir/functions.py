"""What the host computes between a chip's populations, in NumPy.

Functions have the names, arguments and results of torch's ATen operators, so that what a network
calls is written down as it is. Everything floating runs in float64, whatever the network casts to.
A toolchain's worker uses this module too, so it imports NumPy, SciPy and `groups` alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from spikeformer.conversion.coding.groups import GROUPS

Array = npt.NDArray[Any]
Function = Callable[..., Array]


def _moved(shape: Sequence[int], array: Array) -> Array:
    return array.reshape([int(size) for size in shape])


def _expand(x: Array, size: Sequence[int], implicit: bool = False) -> Array:
    kept = (1,) * (len(size) - x.ndim) + x.shape
    return np.broadcast_to(
        x.reshape(kept),
        [old if new == -1 else new for old, new in zip(kept, size, strict=True)],
    )


def _slice(
    x: Array, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Array:
    where: list[Any] = [slice(None)] * x.ndim
    where[dim] = slice(start, end, step)
    return x[tuple(where)]


def _squeeze(x: Array, dim: int | Sequence[int] | None = None) -> Array:
    axes = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    return np.squeeze(x, tuple(axis % x.ndim for axis in axes if x.shape[axis] == 1))


def _to(x: Array, dtype: str = "float") -> Array:
    return x.astype({"float": np.float64, "int": np.int64, "bool": np.bool_}[dtype], copy=False)


def _layer_norm(
    x: Array,
    normalized_shape: Sequence[int],
    weight: Array | None,
    bias: Array | None,
    eps: float,
) -> Array:
    axes = tuple(range(-len(normalized_shape), 0))
    centred = x - x.mean(axis=axes, keepdims=True)
    y = centred / np.sqrt(np.square(centred).mean(axis=axes, keepdims=True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def _softmax(x: Array, dim: int, half_to_float: bool = False) -> Array:
    exponentials = np.exp(x - x.max(axis=dim, keepdims=True))
    result: Array = exponentials / exponentials.sum(axis=dim, keepdims=True)
    return result


def _gelu(x: Array, approximate: str = "none") -> Array:
    if approximate == "tanh":
        inner = math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)
        result: Array = 0.5 * x * (1.0 + np.tanh(inner))
    else:
        result = 0.5 * x * (1.0 + special.erf(x * math.sqrt(0.5)))
    return result


def _addmm(bias: Array, left: Array, right: Array, *, beta: float = 1, alpha: float = 1) -> Array:
    return beta * bias + alpha * (left @ right)


def _convolution(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Array:
    """Any number of axes; neither transposed nor dilated nor grouped (`limits` sees to it)."""
    axes = tuple(range(2, x.ndim))
    padded = np.pad(x, [(0, 0), (0, 0), *((pad, pad) for pad in padding)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], axes)
    windows = windows[(slice(None), slice(None), *(slice(None, None, step) for step in stride))]
    kernel = tuple(range(windows.ndim - len(axes), windows.ndim))
    y = np.tensordot(windows, weight, ((1, *kernel), tuple(range(1, weight.ndim))))
    y = y if bias is None else y + bias
    return np.moveaxis(y, -1, 1)


def _mean(x: Array, dim: Any = None, keepdim: bool = False) -> Array:
    return np.asarray(x.mean(axis=_axes(dim), keepdims=keepdim))


def _sum(x: Array, dim: Any = None, keepdim: bool = False) -> Array:
    return np.asarray(x.sum(axis=_axes(dim), keepdims=keepdim))


def _axes(dim: Any) -> Any:
    return tuple(dim) if isinstance(dim, list | tuple) else dim


def _sigmoid(x: Array) -> Array:
    result: Array = special.expit(x)
    return result


def _add(x: Any, y: Any, *, alpha: float = 1) -> Array:
    return np.asarray(x + (y if alpha == 1 else alpha * y))


def _argmax(x: Array, dim: int | None = None, keepdim: bool = False) -> Array:
    return np.asarray(np.argmax(x, axis=dim, keepdims=keepdim))


def _where(condition: Array, x: Any, y: Any) -> Array:
    return np.asarray(np.where(condition.astype(bool), x, y))


def _gather(x: Array, dim: int, index: Array) -> Array:
    # Along other axes the index may be the shorter one.
    kept = tuple(
        slice(None) if axis == dim % x.ndim else slice(n) for axis, n in enumerate(index.shape)
    )
    return np.take_along_axis(x[kept], index.astype(np.int64), dim)


GROUP = "group_"
"""How the names of functions begin that groups of neurons compute (`conversion.coding.groups`)."""

MOVES: dict[str, Function] = {
    "view": lambda x, size: _moved(size, x),
    "_unsafe_view": lambda x, size: _moved(size, x),
    "transpose": np.swapaxes,
    "permute": np.transpose,
    "t": lambda x: x.T,
    "expand": _expand,
    "unsqueeze": np.expand_dims,
    "squeeze": _squeeze,
    "select": lambda x, dim, index: np.take(x, index, axis=dim),
    "slice": _slice,
    "clone": np.asarray,
    "alias": np.asarray,
    "detach": np.asarray,
}
"""Functions that move elements and change none."""

PRODUCTS: dict[str, Function] = {
    "mm": np.matmul,
    "bmm": np.matmul,
    "addmm": _addmm,
    "convolution": _convolution,
}
"""Matrix products and convolutions: what multiplies a number with many others."""

ELEMENTWISE: dict[str, Function] = {
    "native_layer_norm": _layer_norm,
    "_softmax": _softmax,
    "gelu": _gelu,
    "relu": lambda x: np.maximum(x, 0.0),
    "silu": lambda x: x * _sigmoid(x),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "erf": special.erf,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1.0 / np.sqrt(x),
    "pow": np.power,
    "mul": lambda x, y: np.asarray(x * y),
    "div": lambda x, y: np.asarray(x / y),
    "mean": _mean,
}
"""Functions that multiply or divide, once for each number that they give."""

OTHERS: dict[str, Function] = {
    "add": _add,
    "sub": lambda x, y, *, alpha=1: _add(x, y, alpha=-alpha),
    "rsub": lambda x, y, *, alpha=1: _add(y, x, alpha=-alpha),
    "neg": np.negative,
    "abs": np.abs,
    "sum": _sum,
    "cumsum": lambda x, dim: np.cumsum(x, axis=dim),
    "amax": lambda x, dim, keepdim=False: np.max(x, axis=_axes(dim), keepdims=keepdim),
    "argmax": _argmax,
    "cat": lambda tensors, dim=0: np.concatenate(tensors, axis=dim),
    "stack": lambda tensors, dim=0: np.stack(tensors, axis=dim),
    "embedding": lambda weight, ids, *_: weight[ids.astype(np.int64)],
    "gather": _gather,
    "index_select": lambda x, dim, index: np.take(x, index.astype(np.int64), axis=dim),
    "index": lambda x, index: x[tuple(slice(None) if i is None else _whole(i) for i in index)],
    "where": _where,
    "masked_fill": lambda x, mask, value: _where(mask, value, x),
    "_to_copy": _to,
    "logical_not": np.logical_not,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    # Of truth values, which is all that networks use them for.
    "bitwise_not": np.logical_not,
    "bitwise_and": np.logical_and,
    "bitwise_or": np.logical_or,
    "eq": lambda x, y: np.asarray(x == y),
    "ne": lambda x, y: np.asarray(x != y),
    "lt": lambda x, y: np.asarray(x < y),
    "le": lambda x, y: np.asarray(x <= y),
    "gt": lambda x, y: np.asarray(x > y),
    "ge": lambda x, y: np.asarray(x >= y),
    "any": lambda x, dim=None, keepdim=False: np.any(x, axis=_axes(dim), keepdims=keepdim),
    "all": lambda x, dim=None, keepdim=False: np.all(x, axis=_axes(dim), keepdims=keepdim),
}
"""Functions that add, choose and compare."""

FUNCTIONS: dict[str, Function] = {
    **MOVES,
    **PRODUCTS,
    **ELEMENTWISE,
    **OTHERS,
    **{f"{GROUP}{name}": function for name, function in GROUPS.items()},
}
"""All that a host computes, by name."""


def _whole(index: Array) -> Array:
    return index if index.dtype == np.bool_ else index.astype(np.int64)


def multiplications(name: str, arguments: Sequence[Any], result: Array) -> int:
    """Return how many multiplications and divisions a call takes.

    A product counts those of its sums; a function that multiplies at all, such as softmax or layer
    norm, counts one for each number that it gives, which is the least it can do.

    Args:
        name: Key of `FUNCTIONS`.
        arguments: What it was called with.
        result: What it gave.
    """
    if name == "convolution":
        weight = arguments[1]
        return int(result.size * (weight.size // weight.shape[0]))
    if name in PRODUCTS:
        left = arguments[-2]
        return int(result.size * left.shape[-1])
    return int(result.size) if name in ELEMENTWISE else 0
