"""Functions of one number as groups of neurons that only compare, in NumPy.

All neurons of a group watch one state m and differ in their threshold. Each adds the same step to
what the group sends, or takes it away, for as long as m is at its threshold or above::

    g(m) = g_0 + step sum_k sign_k [m >= theta_k]

A group serves one octave; powers of two are shifts of the state before it and of its sum::

    exp(x)    = 2^e g(m),   x / ln 2 = e + m, e whole, 0 <= m < 1
    1 / x     = 2^-e g(m),  x = m 2^e, 1/2 <= m < 1
    x^(-1/2)  = 2^-e g(m),  x = m 4^e, 1/4 <= m < 1
    gelu(x)   = max(x, 0) - g(|x|)

Thresholds lie where the function is half a step between two sums, so that it is off by at most half
a step: 1/64 of an octave's first value, and 0.005 in GELU.

Source: division, exponentials and norms by populations of neurons and shifts, Yuan et al., 2026,
arXiv:2605.20289. A toolchain's worker uses this module too, so it imports NumPy and SciPy alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

Array = npt.NDArray[Any]

NEURONS = 32
"""Neurons of a group."""

MOST_SHIFT = 60
"""Largest shift of an exponential: beyond e^±41 it stays where it is."""

_HEIGHTS = 1.0 + np.arange(NEURONS + 1) / NEURONS
_HALFWAY = (_HEIGHTS[1:] + _HEIGHTS[:-1]) / 2
_PEAK = 0.7517915246935645  # of what GELU lies below max(x, 0)


def _below_relu(x: Array) -> Array:
    result: Array = 0.5 * x * special.erfc(x * np.sqrt(0.5))
    return result


def _gelu_group() -> tuple[Array, Array]:
    """Return the thresholds of a group that rises to GELU's lowest point and falls behind it."""
    half = NEURONS // 2
    heights = np.arange(half + 1) / half * _below_relu(np.array(_PEAK))
    halfway = (heights[1:] + heights[:-1]) / 2
    rising, falling = np.linspace(0.0, _PEAK, 20_001), np.linspace(8.0, _PEAK, 100_001)
    up = np.interp(halfway, _below_relu(rising), rising)
    down = np.interp(halfway, _below_relu(falling), falling)
    return np.concatenate([up, down[::-1]]), np.concatenate([heights, heights[-2::-1]])


_EXP, _RECIPROCAL, _RSQRT = np.log2(_HALFWAY), 1.0 / _HALFWAY[::-1], _HALFWAY[::-1] ** -2.0
_GELU, _GELU_HEIGHTS = _gelu_group()


def _sum_of(thresholds: Array, heights: Array, m: Array) -> Array:
    """Return what a group sends whose sums are `heights`, in the order of its thresholds."""
    summed: Array = heights[np.searchsorted(thresholds, m, side="right")]
    return summed


def exp(x: Array) -> Array:
    """Return e to the power of x."""
    most = MOST_SHIFT * np.log(2.0)
    scaled = np.clip(x, -most, most) / np.log(2.0)
    shift = np.floor(scaled)
    return np.ldexp(_sum_of(_EXP, _HEIGHTS, scaled - shift), shift.astype(np.int64))


def reciprocal(x: Array) -> Array:
    """Return 1 / x of positive numbers; of 0 it is 2."""
    m, shift = np.frexp(x)
    return np.ldexp(_sum_of(_RECIPROCAL, _HEIGHTS[::-1], m), -shift)


def rsqrt(x: Array) -> Array:
    """Return x to the power of -1/2 of positive numbers; of 0 it is 2."""
    m, shift = np.frexp(x)
    odd = shift % 2
    m = np.ldexp(m, -odd)
    return np.ldexp(_sum_of(_RSQRT, _HEIGHTS[::-1], m), -((shift + odd) // 2))


def gelu(x: Array) -> Array:
    """Return x times the standard normal distribution's share below x."""
    return np.maximum(x, 0.0) - _sum_of(_GELU, _GELU_HEIGHTS, np.abs(x))


def copy(x: Array) -> Array:
    """Return x itself: one neuron that others read."""
    return x


GROUPS: dict[str, Callable[[Array], Array]] = {
    "copy": copy,
    "exp": exp,
    "gelu": gelu,
    "reciprocal": reciprocal,
    "rsqrt": rsqrt,
}
"""What groups compute, by name."""
