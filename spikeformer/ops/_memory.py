"""Fresh memory for an op's outputs.

The first touch of new memory costs a page fault per 4 KiB, which for large outputs takes longer
than the kernel that fills them. Asking Linux for 2 MiB pages removes most of that.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from torch import Tensor

_HUGE_PAGE = 2 << 20
_MADV_HUGEPAGE = 14


def empty_like(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """Uninitialised contiguous tensor with the dtype and device of `tensor`."""
    fresh = tensor.new_empty(shape)
    # Fake tensors, which torch.compile traces with, have no memory to advise on.
    if fresh.device.type == "cpu" and type(fresh) is Tensor:
        _advise_huge_pages(fresh)
    return fresh


def _advise_huge_pages(tensor: Tensor) -> None:
    madvise = _madvise()
    begin = -(-tensor.data_ptr() // _HUGE_PAGE) * _HUGE_PAGE
    length = (tensor.data_ptr() + tensor.nbytes - begin) // _HUGE_PAGE * _HUGE_PAGE
    if madvise is not None and length > 0:
        # Advice: where the operating system declines, the memory is as before.
        madvise(begin, length, _MADV_HUGEPAGE)


@lru_cache(maxsize=1)
def _madvise() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return madvise
