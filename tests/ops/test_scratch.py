"""Scratch memory: zeros from the start of a cache line, given back, or an error; rows alone."""

from __future__ import annotations

import resource

import numpy as np
import pytest

from spikeformer.ops.compiling import compiled
from spikeformer.ops.scratch import allocate, alone, release


@compiled()
def fill_and_check(sizes, total):
    for i in range(sizes.size):
        floats, words = allocate(np.float32, sizes[i]), allocate(np.uint8, sizes[i])
        for j in range(sizes[i]):
            total[0] += floats[j] + words[j]
            floats[j], words[j] = 1.0, 1
        total[1] += floats.ctypes.data % 64 + words.ctypes.data % 64
        release(words)
        release(floats)


def test_memory_is_zero_aligned_and_reused():
    total = np.zeros(2)
    fill_and_check(np.array([1, 7, 1000, 33, 1000]), total)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fill_and_check(np.full(1000, 1 << 20), total)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB of 5 GiB
    assert total.tolist() == [0.0, 0.0]


def test_no_memory():
    with pytest.raises(MemoryError, match="scratch buffer"):
        fill_and_check(np.array([1 << 55]), np.zeros(2))


@compiled()
def add_rows(source, target):
    n = source.size // 2
    first, second = alone(target[:n]), alone(target[n : 2 * n])
    for j in range(n):
        first[j] = source[j] + source[n + j]
        second[j] = source[j] - source[n + j]


@pytest.mark.parametrize("n", [1, 16, 37])
def test_rows_that_are_alone_are_the_same_memory(n):
    source, target = np.arange(2.0 * n), np.full(2 * n + 1, -1.0)
    add_rows(source, target)
    expected = [*(source[:n] + source[n:]), *(source[:n] - source[n:]), -1.0]
    assert target.tolist() == expected
