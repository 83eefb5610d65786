"""Packing in plain torch: the definition that every kernel is tested against."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def pack_reference(flat: Tensor) -> Tensor:
    """Bit i of byte j says whether element 8 j + i is not zero; bits past the end are 0.

    Args:
        flat: Elements in the order to pack them, (n,).
    """
    fired = (flat != 0).to(torch.uint8)
    bytes_8 = F.pad(fired, (0, -len(fired) % 8)).view(-1, 8)
    return (bytes_8 << _positions(flat)).sum(1, dtype=torch.uint8)


def unpack_reference(bits: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """Undo `pack_reference`: 0 or 1 for each of `size` elements, in `dtype`.

    Args:
        bits: Packed elements, uint8, (ceil(size / 8),).
        size: Number of elements.
        dtype: Dtype of the elements.
    """
    fired = (bits.unsqueeze(1) >> _positions(bits)) & 1
    return fired.view(-1)[:size].to(dtype)


def _positions(tensor: Tensor) -> Tensor:
    return torch.arange(8, dtype=torch.uint8, device=tensor.device)
