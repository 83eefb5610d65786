"""Surrogate gradients: what backward uses in place of the derivative of the spike's step.

Each surrogate is a function of x = v - threshold, the distance of the membrane to its threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikeformer.error_handling import check_choice, check_positive


@dataclass(frozen=True)
class Surrogate:
    """One entry of `SURROGATES`.

    Args:
        name: Key in the registry.
        code: What kernels select the surrogate by.
        default_slope: Slope used where the caller names none.
        derivative: `derivative(x, slope)`, shaped like x; its docstring has equation and source.
    """

    name: str
    code: int
    default_slope: float
    derivative: Callable[[Tensor, float], Tensor]


SURROGATES: dict[str, Surrogate] = {}

_Derivative = Callable[[Tensor, float], Tensor]


def _register(code: int, default_slope: float) -> Callable[[_Derivative], _Derivative]:
    """Enter the decorated derivative into `SURROGATES` under its own name."""

    def enter(derivative: _Derivative) -> _Derivative:
        name = derivative.__name__
        SURROGATES[name] = Surrogate(name, code, default_slope, derivative)
        return derivative

    return enter


@_register(code=0, default_slope=25.0)
def fast_sigmoid(x: Tensor, slope: float) -> Tensor:
    """1 / (1 + slope |x|)^2 (Zenke & Ganguli 2018, doi:10.1162/neco_a_01086)."""
    return 1.0 / (1.0 + slope * x.abs()).square()


@_register(code=1, default_slope=2.0)
def atan(x: Tensor, slope: float) -> Tensor:
    """(slope / 2) / (1 + (pi slope x / 2)^2) (Fang et al. 2021, arXiv:2007.05785)."""
    return (0.5 * slope) / (1.0 + (0.5 * math.pi * slope * x).square())


@_register(code=2, default_slope=4.0)
def sigmoid(x: Tensor, slope: float) -> Tensor:
    """Slope s (1 - s), s = 1 / (1 + exp(-slope x)) (Neftci et al. 2019, arXiv:1901.09948)."""
    s = torch.sigmoid(slope * x)
    return slope * s * (1.0 - s)


@_register(code=3, default_slope=1.0)
def triangle(x: Tensor, slope: float) -> Tensor:
    """max(0, slope - |x|) / slope^2: larger is wider (Bellec et al. 2018, arXiv:1803.09574)."""
    return (slope - x.abs()).clamp(min=0.0) * (1.0 / slope**2)


@_register(code=4, default_slope=1.0)
def rectangle(x: Tensor, slope: float) -> Tensor:
    """Slope where |x| < 1 / (2 slope), else 0 (Wu et al. 2018, doi:10.3389/fnins.2018.00331)."""
    return slope * (x.abs() < 0.5 / slope).to(x.dtype)


@_register(code=5, default_slope=2.0)
def erf(x: Tensor, slope: float) -> Tensor:
    """Slope / sqrt(pi) exp(-(slope x)^2) (Yin et al. 2021, doi:10.1038/s42256-021-00397-w)."""
    return (slope / math.sqrt(math.pi)) * torch.exp(-(slope * x).square())


@_register(code=6, default_slope=2.0)
def soft_sign(x: Tensor, slope: float) -> Tensor:
    """(slope / 2) / (1 + slope |x|)^2 (SpikingJelly; Fang et al. 2023, arXiv:2310.16620)."""
    return (0.5 * slope) / (1.0 + slope * x.abs()).square()


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, surrogate: str, slope: float) -> Tensor:
        return (x >= 0).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, str, float], output: Tensor) -> None:
        x, ctx.surrogate, ctx.slope = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        return grad * SURROGATES[ctx.surrogate].derivative(x, ctx.slope), None, None


def spike(x: Tensor, surrogate: str = "fast_sigmoid", slope: float | None = None) -> Tensor:
    """Heaviside step with a surrogate gradient: 1 where x >= 0, else 0.

    Args:
        x: Distance of the membrane to its threshold, of any shape, in units of the threshold.
        surrogate: Name in `SURROGATES`.
        slope: Slope of the surrogate; None means its default.

    Returns:
        Spikes 0 or 1, with the shape and dtype of `x`.

    Raises:
        ArgumentError: If the surrogate is unknown or the slope is not above 0.

    Example:
        >>> x = torch.tensor([-0.5, 0.0, 0.5], requires_grad=True)
        >>> spike(x, "triangle").tolist()
        [0.0, 1.0, 1.0]
    """
    spikes: Tensor = _Spike.apply(x, surrogate, resolve_slope(surrogate, slope))  # type: ignore[no-untyped-call]
    return spikes


def spike_count(level: Tensor, max_spikes: int) -> Tensor:
    """Round a membrane in units of its threshold to a number of spikes, 0 to `max_spikes`.

    The derivative is one where 0 <= level <= max_spikes, and zero elsewhere: straight through the
    rounding (Luo et al. 2024, arXiv:2407.20708).
    """
    clipped = level.clamp(0, max_spikes)
    return clipped + (clipped.round() - clipped).detach()


def resolve_slope(surrogate: str, slope: float | None) -> float:
    """Check a surrogate's name and return the slope to use: the given one or its default.

    Example:
        >>> resolve_slope("atan", None)
        2.0
    """
    check_choice("surrogate", surrogate, SURROGATES)
    if slope is None:
        return SURROGATES[surrogate].default_slope
    return check_positive("slope", slope)
