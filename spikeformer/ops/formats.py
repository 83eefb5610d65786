"""Reading and writing float32, bfloat16 and float16 memory inside Numba kernels.

Numba has no 16-bit floats on CPUs, so kernels see them as uint16 bits and convert while they load
and store, with the branch-free arithmetic of torch's own `c10/util/{BFloat16,Half}.h`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import types
from numba.extending import intrinsic, register_jitable
from torch import Tensor

U = np.uint32


class Format(NamedTuple):
    """How one dtype is seen and converted; `load` gives float32 and `store` takes it."""

    memory: torch.dtype
    load: Callable[[Any], Any]
    store: Callable[[Any], Any]


@intrinsic
def to_bits(context: Any, x: Any) -> Any:
    """Reinterpret a float32 as uint32."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(types.uint32))

    return types.uint32(types.float32), generate


@intrinsic
def from_bits(context: Any, x: Any) -> Any:
    """Reinterpret a uint32 as float32."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(types.float32))

    return types.float32(types.uint32), generate


@register_jitable
def _load_float32(x: Any) -> Any:
    return x


@register_jitable
def _load_bfloat16(bits: Any) -> Any:
    return from_bits(U(U(bits) << U(16)))


@register_jitable
def _store_bfloat16(x: Any) -> Any:
    bits = to_bits(x)
    rounded = U(bits + U(0x7FFF) + (U(bits >> U(16)) & U(1))) >> U(16)
    return np.uint16(U(0x7FC0) if x != x else rounded)


@register_jitable
def _load_float16(bits: Any) -> Any:
    shifted = U(U(bits) << U(16))
    doubled = U(shifted + shifted)
    normal = from_bits(U(U(doubled >> U(4)) + U(0x70000000))) * np.float32(2.0**-112)
    subnormal = from_bits(U(U(doubled >> U(17)) | U(0x3F000000))) - np.float32(0.5)
    magnitude = subnormal if doubled < U(0x08000000) else normal
    return from_bits(U((shifted & U(0x80000000)) | to_bits(magnitude)))


@register_jitable
def _store_float16(x: Any) -> Any:
    bits = to_bits(x)
    doubled = U(bits + bits)
    # Scaling overflows what float16 cannot hold to infinity, then undoes itself.
    base = (abs(x) * np.float32(2.0**112)) * np.float32(2.0**-110)
    bias = max(U(doubled & U(0xFF000000)), U(0x71000000))
    # Adding a number of the right exponent rounds the mantissa to float16's ten bits.
    rounded = to_bits(from_bits(U(U(bias >> U(1)) + U(0x07800000))) + base)
    magnitude = U((U(rounded >> U(13)) & U(0x7C00)) + (rounded & U(0x0FFF)))
    finite = U(0x7E00) if doubled > U(0xFF000000) else magnitude
    return np.uint16(U(bits & U(0x80000000)) >> U(16) | finite)


FORMATS = {
    torch.float32: Format(torch.float32, _load_float32, _load_float32),
    torch.bfloat16: Format(torch.uint16, _load_bfloat16, _store_bfloat16),
    torch.float16: Format(torch.uint16, _load_float16, _store_float16),
}


_NOTHING = np.empty(0, np.float32)


def flat(tensor: Tensor | None) -> Any:
    """A tensor's memory as a one-dimensional array, 16-bit floats as their bits; None as empty.

    Expanded ones, as gradients of sums are, are written out: Numba compiles a kernel of its own for
    an array with gaps.
    """
    if tensor is None:
        return _NOTHING
    memory, elements = FORMATS[tensor.dtype].memory, tensor.detach().reshape(-1).contiguous()
    return (elements if elements.dtype == memory else elements.view(memory)).numpy()


def strided(rows: Tensor) -> tuple[Any, tuple[int, ...]]:
    """The memory that rows span as a one-dimensional array, and the strides of the axes before.

    The last axis is contiguous; others may have gaps, or a stride of zero.
    """
    *sizes, features = rows.shape
    strides = rows.stride()[:-1]
    span = sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True)) + features
    return flat(rows.as_strided((span if rows.numel() else 0,), (1,))), strides
