"""What Triton's kernels share, against the surrogates and the reference in torch."""

from __future__ import annotations

import pytest
import torch
import triton
import triton.language as tl

from spikeformer.ops import SURROGATES
from spikeformer.ops.surrogates import spike_count
from spikeformer.ops.triton_shared import count, derivative
from tests.ops.devices import DEVICE

SIZE = 64


@triton.jit
def _derivative_kernel(
    x: tl.tensor, out: tl.tensor, slope: tl.tensor, surrogate: tl.constexpr, size: tl.constexpr
) -> None:
    place = tl.arange(0, size)
    tl.store(out + place, derivative(tl.load(x + place), slope, surrogate))


@triton.jit
def _count_kernel(x: tl.tensor, out: tl.tensor, most: tl.tensor, size: tl.constexpr) -> None:
    place = tl.arange(0, size)
    tl.store(out + place, count(tl.load(x + place), most))


@pytest.mark.parametrize("name", SURROGATES)
def test_derivative_is_that_of_the_surrogate(name):
    surrogate = SURROGATES[name]
    x = torch.linspace(-2.0, 2.1, SIZE, device=DEVICE)
    found = torch.full_like(x, torch.nan)
    _derivative_kernel[(1,)](x, found, 1.5, surrogate.code, SIZE)
    torch.testing.assert_close(found, surrogate.derivative(x, 1.5))


def test_count_rounds_ties_to_the_even_number():
    x = torch.linspace(-2.0, 6.0, SIZE, device=DEVICE)
    x[:6] = torch.tensor([0.5, 1.5, 2.5, 3.5, 4.0, 9.0])
    found = torch.full_like(x, torch.nan)
    _count_kernel[(1,)](x, found, 4.0, SIZE)
    assert torch.equal(found, spike_count(x, 4))
    assert found[:6].tolist() == [0.0, 2.0, 2.0, 4.0, 4.0, 4.0]
