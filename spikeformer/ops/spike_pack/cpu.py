"""Packing on CPUs with Numba.

Kernels see elements as unsigned integers of their width, so that one kernel serves every dtype: an
element is zero if none of its bits but a float's sign is set, and a spike is the bit pattern of 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeformer.ops.compiling import compiled
from spikeformer.ops.memory import empty_like
from spikeformer.ops.threads import run_tasks

# Bytes of packed spikes per task.
BLOCK = 1 << 13

_MEMORY = {1: torch.uint8, 2: torch.uint16, 4: torch.uint32, 8: torch.uint64}


# LLVM turns the loops over eight into vector compares and shuffles if it sees that no index is
# negative, hence the slices from which both kernels count at zero.
@compiled(error_model="numpy")
def _pack(first: int, last: int, magnitude: Any, all_elements: Any, all_bits: Any) -> None:
    elements = all_elements[8 * BLOCK * first : 8 * BLOCK * last]
    bits = all_bits[BLOCK * first : BLOCK * last]
    whole = elements.size // 8
    for j in range(whole):
        byte = np.uint32(0)
        for i in range(8):
            byte |= np.uint32((elements[8 * j + i] & magnitude) != 0) << np.uint32(i)
        bits[j] = byte
    if whole < bits.size:
        byte = np.uint32(0)
        for i in range(elements.size - 8 * whole):
            byte |= np.uint32((elements[8 * whole + i] & magnitude) != 0) << np.uint32(i)
        bits[whole] = byte


@compiled(error_model="numpy")
def _unpack(first: int, last: int, spike: Any, all_bits: Any, all_elements: Any) -> None:
    elements = all_elements[8 * BLOCK * first : 8 * BLOCK * last]
    bits = all_bits[BLOCK * first : BLOCK * last]
    silence = spike ^ spike
    whole = elements.size // 8
    for j in range(whole):
        byte = np.uint32(bits[j])
        for i in range(8):
            elements[8 * j + i] = spike if byte & (np.uint32(1) << np.uint32(i)) else silence
    for i in range(8 * whole, elements.size):
        fired = np.uint32(bits[whole]) >> np.uint32(i - 8 * whole)
        elements[i] = spike if fired & np.uint32(1) else silence


def pack(flat: Tensor) -> Tensor:
    """Bits of the elements of a contiguous (n,) tensor."""
    elements, magnitude = as_integers(flat)
    packed = torch.empty(-(-flat.numel() // 8), dtype=torch.uint8)
    bits = packed.numpy()
    run_tasks(
        _pack,
        (magnitude, elements, bits),
        -(-bits.size // BLOCK),
        elements.size,
    )
    return packed


def unpack(bits: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """Elements, (size,), of their bits."""
    flat = empty_like(bits.new_empty(0, dtype=dtype), (size,))
    elements, _ = as_integers(flat)
    (spike,), _ = as_integers(torch.ones(1, dtype=dtype))
    packed = bits.contiguous().numpy()
    run_tasks(
        _unpack,
        (spike, packed, elements),
        -(-packed.size // BLOCK),
        size,
    )
    return flat


def as_integers(tensor: Tensor) -> tuple[Any, Any]:
    """A contiguous tensor's memory as unsigned integers, and the mask of all bits but the sign."""
    integers = tensor.detach().view(_MEMORY[tensor.element_size()]).numpy()
    ones = np.iinfo(integers.dtype).max
    return integers, integers.dtype.type(ones >> 1 if tensor.is_floating_point() else ones)
