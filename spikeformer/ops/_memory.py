"""Fresh memory for an op's outputs.

The first touch of new memory costs a page fault per 4 KiB, which for large outputs takes longer
than the kernel that fills them. Asking Linux for 2 MiB pages removes most of that; a process that
trains can besides keep what it freed for the next step.
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
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


def empty_like(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """Uninitialised contiguous tensor with the dtype and device of `tensor`."""
    fresh = tensor.new_empty(shape)
    # Fake tensors, which torch.compile traces with, have no memory to advise on.
    if fresh.device.type == "cpu" and type(fresh) is Tensor:
        _advise_huge_pages(fresh)
    return fresh


def keep_freed_memory() -> bool:
    """Let this process keep memory that it freed, rather than hand it back to the system.

    A training step on CPUs frees what the next one allocates again; handing it back and forth costs
    a tenth of the step. Concerns all of the process and blocks of up to 32 MiB, which is as far as
    glibc goes; the process stays as large as it once was. `train.py` calls it on CPUs.

    Returns:
        Whether the C library understood, as glibc does.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    settings = {_M_MMAP_THRESHOLD: 32 << 20, _M_TRIM_THRESHOLD: 1 << 30, _M_TOP_PAD: 64 << 20}
    understood = [mallopt(name, value) == 1 for name, value in settings.items()]
    return all(understood)


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
