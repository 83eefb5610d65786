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
# Adding and subtracting 1.5 * 2^23 rounds a small float32 to an integer.
ROUNDER = np.float32(12582912.0)
LOWEST_EXPONENT = np.float32(-125.0)
# Of 2^x for |x| <= 1/2, with the least relative error that 1 + x (C1 + ...) has.
C1, C2, C3, C4 = map(np.float32, (0.693124193, 0.240240986, 0.0559064246, 0.0095828531))
# Of 1 / (1 + x) for 0 <= x <= 1 to 1/577, which is Chebyshev's polynomial of degree 4 at -3.
R0, R1, R2, R3 = (np.float32(numerator / 577) for numerator in (576, -544, 384, -128))
TWO = np.float32(2.0)

# A derivative decides no spike, so its products and sums may become fused multiply-adds.
derivative = register_jitable(fastmath={"contract"})


@derivative
def exp2_of_negative(x: Any) -> Any:
    """2^x for x <= 0, to 3e-6 of it; `math.exp2` would keep loops from vectorising.

    With x = k + r and |r| <= 1/2 it is a polynomial of r, to whose exponent k is added.
    """
    x = max(x, LOWEST_EXPONENT)
    rounded = x + ROUNDER
    r = x - (rounded - ROUNDER)
    series = C3 + r * C4
    series = C2 + r * series
    series = C1 + r * series
    series = ONE + r * series
    return from_bits(np.uint32(to_bits(series) + (to_bits(rounded) << np.uint32(23))))


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
    # s (1 - s) = tail / (1 + tail)^2 is even in x. A quotient takes as long as ten products: a
    # step of Newton's brings the polynomial of 1 / (1 + tail) to 3e-6.
    tail = exp2_of_negative((-LOG2_E * slope) * abs(x))
    inverse = R0 + tail * (R1 + tail * (R2 + tail * R3))
    inverse = inverse * (TWO - (ONE + tail) * inverse)
    return (slope * tail) * (inverse * inverse)


@derivative
def _triangle(x: Any, slope: Any) -> Any:
    return max(ZERO, slope - abs(x)) / (slope * slope)


@derivative
def _rectangle(x: Any, slope: Any) -> Any:
    return slope if abs(x) < HALF / slope else ZERO


@derivative
def _erf(x: Any, slope: Any) -> Any:
    scaled = slope * x
    return slope * INVERSE_SQRT_PI * exp2_of_negative((-LOG2_E * scaled) * scaled)


@derivative
def _soft_sign(x: Any, slope: Any) -> Any:
    base = ONE + slope * abs(x)
    return HALF * slope / (base * base)


DERIVATIVES = (_fast_sigmoid, _atan, _sigmoid, _triangle, _rectangle, _erf, _soft_sign)
