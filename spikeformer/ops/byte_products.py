"""Products of spikes in bytes, on CPUs that multiply matrices of bytes (AMX), for inference.

A spike is 0 or 1 and fits into a byte, as do sums of spikes, and eight times a graded spike of up
to eight levels. A weight is written as a number of 24 bits in three bytes, in units u of its output
channel,

    W = u Σ_p 256^p W_p,   p = 0, 1, 2,   u = max |W| / (127.4 · 256^2)

so that a product in float32 becomes three in bytes, `u Σ_p 256^p (W_p s)`, each of which is exact
in 32 bits: nearer to the true sum than one in float32 comes. Every number is looked at, and what
bytes or units cannot write is left to float32.

The parts of a weight are kept with a copy of it, and made anew where it is no longer the same. That
takes too long for a training step, which changes all weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from spikeformer.ops.compiling import compiled
from spikeformer.ops.registration import watched
from spikeformer.ops.scratch import alone
from spikeformer.ops.threads import run_tasks

_PARTS, _LARGEST = 3, 127.4 * 65536
_BLOCK = 1 << 14
_U = np.uint64

_TIMES = 1, 8
"""By what numbers are multiplied to be whole."""

# Below these, calls cost more than bytes save.
_MIN_ROWS, _MIN_WIDTH, _MIN_WORK = 256, 32, 1 << 27

# Inputs of an output beyond which sums of products of bytes could leave 32 bits.
_MOST_INPUTS = 1 << 16

# A channel whose largest weight is less has units that are not exact.
_SMALLEST, _INFINITE = np.float32(1e-25), np.float32(np.inf)


def linear(x: Tensor, weight: Tensor) -> Tensor | None:
    """Product of x (rows, inputs) and weight (outputs, inputs); None where bytes do not serve."""
    if not _is_large(weight, x.shape[0]):
        return None
    found = _in_bytes(x.contiguous())
    packed = None if found is None else _packed(weight, pack_linear)
    if found is None or packed is None:
        return None
    return _added_up(torch.ops.onednn.qlinear_pointwise, found, packed, ())


def convolve(
    pictures: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int]
) -> Tensor | None:
    """Convolution of pictures that lie channels last; None where bytes do not serve."""
    if pictures.dim() != 4 or not pictures.is_contiguous(memory_format=torch.channels_last):
        return None
    if not _is_large(weight, pictures.numel() // max(1, pictures.shape[1])):
        return None
    options = (list(stride), list(padding), [1, 1], 1)
    shape = list(pictures.shape)

    def pack(part: Tensor, unit: Tensor) -> Tensor:
        packed: Tensor = torch.ops.onednn.qconv_prepack(part, unit, 1.0, 0, *options, shape)
        return packed

    found = _in_bytes(pictures)
    packed = None if found is None else _packed(weight, pack, (*stride, *padding, *shape))
    if found is None or packed is None:
        return None
    out = _added_up(torch.ops.onednn.qconv2d_pointwise, found, packed, options)
    return out.contiguous(memory_format=torch.channels_last)


def _added_up(
    multiply: Any,
    found: tuple[Tensor, float],
    packed: list[tuple[Tensor, Tensor]],
    options: tuple[Any, ...],
) -> Tensor:
    """Sum of the products of numbers in bytes with all parts of a weight."""
    # In float32, and no function of it.
    plain = (1.0, 0, torch.float32)
    none: tuple[str, list[float], str] = ("none", [], "")
    (part, unit), *others = packed
    zeros = torch.zeros(unit.numel(), dtype=torch.int64)
    total: Tensor = multiply(
        found[0], found[1], 0, part, unit, zeros, None, *options, *plain, *none
    )
    for part, unit in others:
        given = (found[0], found[1], 0, part, unit, zeros, total, None)
        multiply.binary(*given, *options, *plain, 1.0, 0, "sum", 1.0, *none)
    return total


class _Kept(NamedTuple):
    weight: Tensor
    use: tuple[int, ...]
    parts: list[tuple[Tensor, Tensor]] | None


_kept = WeakTensorKeyDictionary()


def _packed(
    weight: Tensor, pack: Callable[[Tensor, Tensor], Tensor], use: tuple[int, ...] = ()
) -> list[tuple[Tensor, Tensor]] | None:
    """The packed parts of a weight and their units, kept until it changes or is gone."""
    kept: _Kept | None = _kept.get(weight)  # type: ignore[no-untyped-call]
    if kept is None or kept.use != use or not torch.equal(kept.weight, weight):
        parts, fits = split(weight)
        packed = [(pack(part, unit), unit) for part, unit in parts] if fits else None
        kept = _kept[weight] = _Kept(weight.detach().clone(), use, packed)
    return kept.parts


def may_serve(x: Tensor, weight: Tensor) -> bool:
    """Whether nobody asks for gradients or follows what is computed, in float32 on a CPU.

    The weight has to be a parameter: one that is made for a call would be split for it alone.
    """
    if watched((x, weight)) or not available():  # a compiler ends at the first
        return False
    gradients = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    return (
        not gradients
        and isinstance(weight, torch.nn.Parameter)
        and x.device.type == weight.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
    )


def _is_large(weight: Tensor, rows: int) -> bool:
    return (
        rows >= _MIN_ROWS
        and weight[0].numel() <= _MOST_INPUTS
        and min(weight.shape[:2]) >= _MIN_WIDTH
        and rows * weight.numel() >= _MIN_WORK
    )


@cache
def available() -> bool:
    """Whether the CPU multiplies matrices of bytes, and torch can ask it to."""
    return has_products() and bool(getattr(torch.cpu, "_is_amx_tile_supported", bool)())


def has_products() -> bool:
    """Whether torch has products of bytes, which CPUs may be slow at."""
    products = ("qlinear_pointwise", "qconv2d_pointwise")
    return (
        torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and all(hasattr(torch.ops.onednn, name) for name in products)
    )


def _in_bytes(x: Tensor) -> tuple[Tensor, float] | None:
    """The same numbers in bytes, and what 1 of them stands for; None if they do not fit."""
    events = torch.empty_like(x, dtype=torch.uint8)
    numbers, memory = _memory(x), _memory(events)
    num_tasks = -(-x.numel() // _BLOCK)
    others = np.empty(num_tasks, np.bool_)
    kernel = _bytes_kernel()
    for times in _TIMES:
        arguments = (np.float32(times), numbers, memory, others)
        run_tasks(kernel, arguments, 1, _BLOCK)  # most of what does not fit shows here
        if not others[0]:
            run_tasks(kernel, arguments, num_tasks, x.numel())
            return None if others.any() else (events, 1.0 / times)
    return None


def split(weight: Tensor) -> tuple[list[tuple[Tensor, Tensor]], bool]:
    """Return the three bytes of every weight and their units, the lowest first, and if all fit.

    Channels too small for units become zeros; those that are not finite have units of NaN.

    Args:
        weight: float32, (outputs, ...).
    """
    weight = weight.detach().contiguous()
    parts = torch.empty((_PARTS, *weight.shape), dtype=torch.int8)
    units = torch.empty(_PARTS, len(weight))
    fits = np.empty(len(weight), np.bool_)
    arguments = (
        weight.view(len(weight), -1).numpy(),
        parts.view(_PARTS, len(weight), -1).numpy(),
        units.numpy(),
        fits,
    )
    run_tasks(_split_kernel(), arguments, len(weight), weight.numel())
    return list(zip(parts, units, strict=True)), bool(fits.all())


def pack_linear(part: Tensor, _unit: Tensor) -> Tensor:
    """Lay a part of a linear layer's weight out as oneDNN wants it."""
    packed: Tensor = torch.ops.onednn.qlinear_prepack(part, None)
    return packed


def _memory(x: Tensor) -> Any:
    """A dense tensor's elements in the order in which they lie."""
    return x.detach().as_strided((x.numel(),), (1,)).numpy()


@cache
def _bytes_kernel() -> Callable[..., None]:
    @compiled(error_model="numpy")
    def kernel(first: int, last: int, times: Any, numbers: Any, events: Any, others: Any) -> None:
        for task in range(first, last):
            begin = task * _BLOCK
            end = min(begin + _BLOCK, numbers.size)
            x, out = numbers[begin:end], alone(events[begin:end])
            other = np.int32(0)
            for i in range(x.size):
                number = times * x[_U(i)]
                whole = np.int32(number)
                out[_U(i)] = np.uint8(whole)
                other |= np.int32(whole & np.int32(~255))
                other |= np.int32(np.float32(whole) != number)
            others[task] = other != 0

    return kernel


@cache
def _split_kernel() -> Callable[..., None]:
    @compiled(error_model="numpy")
    def kernel(first: int, last: int, weight: Any, parts: Any, units: Any, fits: Any) -> None:
        inputs = weight.shape[1]
        for row in range(first, last):
            largest = np.float32(0.0)
            finite = True
            for i in range(inputs):
                size = abs(weight[row, i])
                finite &= size < _INFINITE  # and is a number
                largest = max(largest, size)
            fits[row] = finite and (largest == 0.0 or largest >= _SMALLEST)
            unit = np.float32(1)
            if fits[row] and largest > 0.0:
                unit = np.float32(largest / _LARGEST)
            elif not finite:
                unit = np.float32(np.nan)
            for part in range(3):
                units[part, row] = unit * np.float32(256**part)
            for i in range(inputs):
                number = np.int32(np.rint(weight[row, i] / np.float64(unit))) if fits[row] else 0
                low = ((number + 128) & 255) - 128
                number = (number - low) >> 8
                middle = ((number + 128) & 255) - 128
                parts[0, row, i] = low
                parts[1, row, i] = middle
                parts[2, row, i] = (number - middle) >> 8

    return kernel
