"""Packing in Triton: one program reads or writes a block of elements.

Annotations are compiled too: Triton accepts its own types alone.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

# Packed bytes per program of `_pack_kernel`, elements per program of `_unpack_kernel`.
_BYTES, _ELEMENTS = 256, 2048


@triton.jit
def _pack_kernel(
    elements: tl.tensor, bits: tl.tensor, size: tl.tensor, block: tl.constexpr
) -> None:
    byte = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    position = tl.arange(0, 8)[None, :]
    element = byte[:, None] * 8 + position
    fired = tl.load(elements + element, mask=element < size, other=0) != 0
    packed = tl.sum(fired.to(tl.int32) << position, axis=1)
    tl.store(bits + byte, packed.to(tl.uint8), mask=byte * 8 < size)


@triton.jit
def _unpack_kernel(
    bits: tl.tensor, elements: tl.tensor, size: tl.tensor, block: tl.constexpr
) -> None:
    element = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    byte = tl.load(bits + element // 8, mask=element < size, other=0).to(tl.int32)
    # By way of float32: the interpreter does not convert integers to bfloat16.
    fired = ((byte >> (element % 8).to(tl.int32)) & 1).to(tl.float32)
    tl.store(elements + element, fired.to(elements.dtype.element_ty), mask=element < size)


def pack(flat: Tensor) -> Tensor:
    """Bits of the elements of a contiguous (n,) tensor."""
    size = flat.numel()
    bits = flat.new_empty(triton.cdiv(size, 8), dtype=torch.uint8)
    if size:
        grid = (triton.cdiv(size, 8 * _BYTES),)
        with torch.cuda.device_of(flat):  # type: ignore[no-untyped-call]
            _pack_kernel[grid](_readable(flat), bits, size, block=_BYTES)
    return bits


def unpack(bits: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """Elements, (size,), of their bits."""
    flat = bits.new_empty(size, dtype=dtype)
    if size:
        grid = (triton.cdiv(size, _ELEMENTS),)
        with torch.cuda.device_of(bits):  # type: ignore[no-untyped-call]
            _unpack_kernel[grid](bits.contiguous(), _readable(flat), size, block=_ELEMENTS)
    return flat


def _readable(flat: Tensor) -> Tensor:
    """Booleans as bytes, which Triton reads and writes alike on every device."""
    return flat.view(torch.uint8) if flat.dtype == torch.bool else flat
