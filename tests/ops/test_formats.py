"""The kernels' 16-bit conversions against torch, over every bit pattern."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numba import njit

from spikeformer.ops.formats import FORMATS, flat

HALVES = [torch.bfloat16, torch.float16]


def elementwise(function):
    @njit
    def apply(source, target):
        for i in range(source.size):
            target[i] = function(source[i])

    return apply


@pytest.mark.parametrize("dtype", HALVES)
def test_load_equals_torch_for_every_pattern(dtype):
    bits = np.arange(1 << 16, dtype=np.uint16)
    loaded = np.empty(bits.size, np.float32)
    elementwise(FORMATS[dtype].load)(bits, loaded)
    expected = torch.from_numpy(bits).view(dtype).float()
    torch.testing.assert_close(torch.from_numpy(loaded), expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", HALVES)
def test_store_rounds_as_torch(dtype):
    exact = torch.from_numpy(np.arange(1 << 16, dtype=np.uint16)).view(dtype).float()
    exact = exact[exact.isfinite()]
    # Every number, the midpoints between neighbours (ties), and a step to either side of those.
    ordered = exact.sort().values
    ties = (ordered[:-1].double() + ordered[1:].double()).div(2).float()
    up, down = (torch.nextafter(ties, torch.full_like(ties, s)) for s in (torch.inf, -torch.inf))
    special = torch.tensor([torch.inf, -torch.inf, torch.nan, 1e38, -1e38, 1e-45, 65519.0, 65520.0])
    x = torch.cat([exact, ties, up, down, special])
    stored = np.empty(x.numel(), np.uint16)
    elementwise(FORMATS[dtype].store)(x.numpy(), stored)
    got = torch.from_numpy(stored).view(dtype)
    torch.testing.assert_close(got, x.to(dtype), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", FORMATS, ids=str)
def test_no_kernel_sees_gaps(dtype):
    """As in the gradient of a sum, for whose layout Numba would compile each kernel again."""
    values = torch.tensor(2.0, dtype=dtype).expand(3, 4)
    memory = flat(values)
    assert memory.flags.c_contiguous
    assert torch.equal(torch.from_numpy(memory).view(dtype).view(3, 4), values)
