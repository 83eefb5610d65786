"""Memory for an op's outputs.

The first touch of new memory costs a page fault per 4 KiB, which for large outputs takes longer
than the kernel that fills them. Asking Linux for 2 MiB pages removes part of that. The rest goes
where memory is used again: ops keep large blocks that outputs have left, and a process that trains
can have the C library do so with smaller ones and with those of torch.
"""

from __future__ import annotations

import ctypes
import sys
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

_HUGE_PAGE = 2 << 20
CACHE_LINE = 64
"""Bytes of a cache line, from whose start memory lies."""
_MADV_HUGEPAGE = 14
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3

# Smaller blocks come from the C library's heap, which uses its memory again.
_MIN_POOLED = 1 << 20


class BlockPool:
    """Blocks of memory that come back when the last tensor on them is gone.

    It holds no more free memory than its tensors had in use at once; beyond that the block that
    has been free for longest goes back to the system.
    """

    def __init__(self) -> None:
        # Every step on these is atomic: blocks come back on whichever thread drops a tensor.
        self._free: OrderedDict[int, Any] = OrderedDict()
        self._in_use = self._most_in_use = 0

    def tensor(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Uninitialised contiguous tensor on a block of the pool."""
        # A multiple of huge pages, in steps of an eighth: much the same sizes share blocks.
        size = -(-prod(shape) * dtype.itemsize // _HUGE_PAGE) * _HUGE_PAGE
        step = max(_HUGE_PAGE, 1 << (size.bit_length() - 4))
        block = self._take(-(-size // step) * step)
        lease = block[:]
        weakref.finalize(lease, self._give_back, block).atexit = False
        strides = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
        storage = torch.from_numpy(lease).untyped_storage()
        return torch.empty(0, dtype=dtype).set_(storage, 0, tuple(shape), strides)

    def _take(self, size: int) -> Any:
        self._in_use += size
        self._most_in_use = max(self._most_in_use, self._in_use)
        for key, block in list(self._free.items()):
            if block.size == size and self._free.pop(key, None) is not None:
                return block
        # From the start of a cache line, or every vector that is stored would lie on two.
        memory = np.empty(size + CACHE_LINE, np.uint8)
        start = -memory.ctypes.data % CACHE_LINE
        block = memory[start : start + size]
        _advise_huge_pages(block.ctypes.data, size)
        return block

    def _give_back(self, block: Any) -> None:
        self._in_use -= block.size
        self._free[id(block)] = block
        while sum(free.size for free in list(self._free.values())) > self._most_in_use:
            self._free.popitem(last=False)


_pool = BlockPool()


def empty_like(tensor: Tensor, shape: Sequence[int], dtype: torch.dtype | None = None) -> Tensor:
    """Uninitialised contiguous tensor on the device of `tensor`, in its dtype if given no other."""
    dtype = dtype or tensor.dtype
    # Fake tensors, which torch.compile traces with, have no memory.
    plain = tensor.device.type == "cpu" and type(tensor) in (Tensor, torch.nn.Parameter)
    if plain and prod(shape) * dtype.itemsize >= _MIN_POOLED:
        return _pool.tensor(shape, dtype)
    return tensor.new_empty(shape, dtype=dtype)


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


def _advise_huge_pages(address: int, size: int) -> None:
    madvise = _madvise()
    begin = -(-address // _HUGE_PAGE) * _HUGE_PAGE
    length = (address + size - begin) // _HUGE_PAGE * _HUGE_PAGE
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
