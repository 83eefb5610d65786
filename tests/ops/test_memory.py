from __future__ import annotations

import ctypes
import sys

import pytest
import torch

from spikeformer.ops import keep_freed_memory
from spikeformer.ops.memory import empty_like
from tests.forking import forked

M_MMAP_THRESHOLD = -3


def print_faults(keep):
    """Print how often ten steps ask the system for pages."""
    import resource

    # Left alone, glibc moves its threshold by what was freed, and sometimes keeps blocks too.
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 128 << 10)
    if keep:
        assert keep_freed_memory()

    def step():
        _ = [torch.ones(2 << 20) for _ in range(8)]

    for _ in range(3):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        step()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's setting")
def test_freed_memory_is_used_again():
    # How many pages one fault brings in is the kernel's choice.
    assert int(forked(print_faults, True)) < int(forked(print_faults, False)) / 8


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, None])
def test_large_outputs_start_a_cache_line(dtype):
    like = torch.empty(0, dtype=torch.float16)
    for size in (1 << 20, (1 << 20) + 1):
        out = empty_like(like, (size, 3), dtype)
        assert (out.shape, out.dtype) == ((size, 3), dtype or torch.float16)
        assert out.data_ptr() % 64 == 0
        assert out.fill_(1.0)[-1, -1] == 1.0
