"""Surrogates against the autograd derivative of their closed-form primitives."""

from __future__ import annotations

import math

import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.ops import SURROGATES, spike
from spikeformer.ops.surrogates import resolve_slope

# Each primitive is written independently of the derivative under test.
PRIMITIVES = {
    "fast_sigmoid": lambda x, k: x / (1 + k * x.abs()),
    "atan": lambda x, k: torch.atan(math.pi / 2 * k * x) / math.pi,
    "sigmoid": lambda x, k: torch.sigmoid(k * x),
    "triangle": lambda x, k: torch.where(
        x.abs() < k, x / k - x * x.abs() / (2 * k**2), x.sign() / 2
    ),
    "rectangle": lambda x, k: (k * x).clamp(-0.5, 0.5),
    "erf": lambda x, k: torch.erf(k * x) / 2,
    "soft_sign": lambda x, k: k * x / (1 + k * x.abs()) / 2,
}
NAMES = list(SURROGATES)


def test_registry_is_complete():
    assert set(NAMES) == set(PRIMITIVES)
    assert [surrogate.name for surrogate in SURROGATES.values()] == NAMES
    assert [surrogate.code for surrogate in SURROGATES.values()] == list(range(len(NAMES)))
    assert SURROGATES["fast_sigmoid"].default_slope == 25.0


@pytest.mark.parametrize("slope", [0.7, 1.0, 3.0])
@pytest.mark.parametrize("name", NAMES)
def test_derivative_is_that_of_the_primitive(name, slope):
    x = torch.linspace(-3.01, 3.0, 500, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(PRIMITIVES[name](x, slope).sum(), x)
    torch.testing.assert_close(SURROGATES[name].derivative(x, slope), expected)


@pytest.mark.parametrize("name", NAMES)
def test_spike_steps_forward_and_uses_the_derivative_backward(name):
    x = torch.tensor([-2.0, -1e-7, -0.0, 0.0, 1e-7, 2.0], requires_grad=True)
    spikes = spike(x, name)
    assert spikes.tolist() == [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    upstream = torch.arange(1.0, 7.0)
    spikes.backward(upstream)
    slope = SURROGATES[name].default_slope
    torch.testing.assert_close(x.grad, upstream * SURROGATES[name].derivative(x.detach(), slope))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_spike_keeps_dtype(dtype):
    x = torch.randn(3, 0, 2, dtype=dtype, requires_grad=True)
    spikes = spike(x, "atan", slope=3.0)
    spikes.sum().backward()
    assert (spikes.dtype, spikes.shape, x.grad.dtype) == (dtype, x.shape, dtype)


def test_slope_overrides_the_default():
    assert resolve_slope("atan", None) == 2.0
    x = torch.tensor([0.5], requires_grad=True)
    spike(x, "fast_sigmoid", slope=2.0).backward()
    assert x.grad.item() == pytest.approx(0.25)


@pytest.mark.parametrize("slope", [0.0, -1.0, math.inf, math.nan])
def test_bad_slope(slope):
    with pytest.raises(ArgumentError, match="slope"):
        spike(torch.zeros(1), "atan", slope)


def test_unknown_surrogate_lists_the_known():
    with pytest.raises(ArgumentError, match="'fast_sigmoid', 'atan'"):
        spike(torch.zeros(1), "step")
