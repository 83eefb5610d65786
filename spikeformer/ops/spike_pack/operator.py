"""Packing as operators of torch, on elements in the order of their bits.

Bits have no gradient: these operators have none either.
"""

from __future__ import annotations

import torch
from torch import Tensor

from spikeformer.ops.dispatch import load_kernels


@torch.library.custom_op("spikeformer::spike_pack", mutates_args=())
def spike_pack_op(flat: Tensor, backend: str) -> Tensor:
    """Bits of the elements of a contiguous (n,) tensor."""
    return load_kernels("spike_pack", backend).pack(flat)


@spike_pack_op.register_fake
def _(flat: Tensor, backend: str) -> Tensor:
    return flat.new_empty((flat.numel() + 7) // 8, dtype=torch.uint8)


@torch.library.custom_op("spikeformer::spike_unpack", mutates_args=())
def spike_unpack_op(bits: Tensor, size: int, dtype: torch.dtype, backend: str) -> Tensor:
    """Elements, (size,), of their bits."""
    return load_kernels("spike_pack", backend).unpack(bits, size, dtype)


@spike_unpack_op.register_fake
def _(bits: Tensor, size: int, dtype: torch.dtype, backend: str) -> Tensor:
    return bits.new_empty(size, dtype=dtype)
