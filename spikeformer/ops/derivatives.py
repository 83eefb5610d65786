"""The derivatives of `surrogates.py` for Numba kernels, in float32, by `Surrogate.code`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba.extending import register_jitable

from spikeformer.ops.formats import from_bits, to_bits

# Literals are float64 to Numba and would turn the whole kernel into float64.
ZERO, HALF, ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)
HALF_PI = np.float32(0.5 * math.pi)
INVERSE_SQRT_PI = np.float32(1.0 / math.sqrt(math.pi))
LOG2_E = np.float32(math.log2(math.e))
# ln 2 in two parts, the first with so few bits that its product with an exponent is exact.
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(math.log(2.0) - 0.693359375)
# Adding and subtracting 1.5 * 2^23 rounds a small float32 to an integer.
ROUNDER = np.float32(12582912.0)
LOWEST_EXPONENT = np.float32(-87.0)
# 1 / n!, the coefficients of the Taylor polynomial of exp.
C3, C4, C5, C6, C7 = (np.float32(1 / math.factorial(n)) for n in range(3, 8))

# A derivative decides no spike, so its products and sums may become fused multiply-adds.
derivative = register_jitable(fastmath={"contract"})


@derivative
def exp_of_negative(x: Any) -> Any:
    """exp(x) for x <= 0 to 2 units in the last place; `math.exp` would keep loops from vectorising.

    With x = k ln 2 + r and |r| <= ln 2 / 2, it is 2^k times the Taylor polynomial of exp(r).
    """
    x = max(x, LOWEST_EXPONENT)
    rounded = x * LOG2_E + ROUNDER
    k = rounded - ROUNDER
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    power = from_bits(np.uint32((to_bits(rounded) + np.uint32(127)) << np.uint32(23)))
    series = C6 + r * C7
    series = C5 + r * series
    series = C4 + r * series
    series = C3 + r * series
    series = HALF + r * series
    series = ONE + r * series
    return power * (ONE + r * series)


@derivative
def _fast_sigmoid(x: Any, slope: Any) -> Any:
    base = ONE + slope * abs(x)
    return ONE / (base * base)


@derivative
def _atan(x: Any, slope: Any) -> Any:
    angle = HALF_PI * slope * x
    return HALF * slope / (ONE + angle * angle)


@derivative
def _sigmoid(x: Any, slope: Any) -> Any:
    # s (1 - s) is even in x; the negative side cannot overflow.
    tail = exp_of_negative(-slope * abs(x))
    return slope * tail / ((ONE + tail) * (ONE + tail))


@derivative
def _triangle(x: Any, slope: Any) -> Any:
    return max(ZERO, slope - abs(x)) / (slope * slope)


@derivative
def _rectangle(x: Any, slope: Any) -> Any:
    return slope if abs(x) < HALF / slope else ZERO


@derivative
def _erf(x: Any, slope: Any) -> Any:
    scaled = slope * x
    return slope * INVERSE_SQRT_PI * exp_of_negative(-(scaled * scaled))


@derivative
def _soft_sign(x: Any, slope: Any) -> Any:
    base = ONE + slope * abs(x)
    return HALF * slope / (base * base)


DERIVATIVES = (_fast_sigmoid, _atan, _sigmoid, _triangle, _rectangle, _erf, _soft_sign)
