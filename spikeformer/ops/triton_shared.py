"""What Triton kernels share: autotuning, the interpreter, and one LIF timestep forward and back.

With `TRITON_INTERPRET=1` in the environment before Triton is imported, kernels run on CPU tensors
in NumPy: slow, and enough to test what they compute.

Kernels call `step` and `step_backward` on rows of float32 in registers and keep loads, stores and
loops to themselves. Launched with `enable_fp_fusion=False`, `step` follows the reference operation
by operation; fused multiply-adds would round once less, and flip a spike now and then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import triton
import triton.language as tl
from triton import knobs

from spikeformer.ops.surrogates import SURROGATES

INTERPRETED: bool = knobs.runtime.interpret

_FAST_SIGMOID = tl.constexpr(SURROGATES["fast_sigmoid"].code)
_ATAN = tl.constexpr(SURROGATES["atan"].code)
_SIGMOID = tl.constexpr(SURROGATES["sigmoid"].code)
_TRIANGLE = tl.constexpr(SURROGATES["triangle"].code)
_RECTANGLE = tl.constexpr(SURROGATES["rectangle"].code)
_ERF = tl.constexpr(SURROGATES["erf"].code)
_SOFT_SIGN = tl.constexpr(SURROGATES["soft_sign"].code)

# Adding and subtracting 1.5 * 2^23 rounds a small float32 to an integer.
_ROUNDER = tl.constexpr(12582912.0)
_HALF_PI = tl.constexpr(0.5 * math.pi)
_INVERSE_SQRT_PI = tl.constexpr(1.0 / math.sqrt(math.pi))


def autotune(
    configs: Sequence[triton.Config], key: Sequence[str], **options: Any
) -> Callable[..., Any]:
    """`triton.autotune`, with the first configuration alone where there is no GPU to time it on."""
    chosen = list(configs)[:1] if INTERPRETED else list(configs)
    decorate: Callable[..., Any] = triton.autotune(chosen, key=list(key), **options)
    return decorate


@triton.jit
def derivative(x: tl.tensor, slope: tl.tensor, SURROGATE: tl.constexpr) -> tl.tensor:
    """Derivative of the surrogate with the code SURROGATE, at x = v' - threshold."""
    # One exit: Triton compiles what follows a branch that returns.
    if SURROGATE == _FAST_SIGMOID:
        base = 1.0 + slope * tl.abs(x)
        result = 1.0 / (base * base)
    elif SURROGATE == _ATAN:
        angle = x * (slope * _HALF_PI)
        result = 0.5 * slope / (1.0 + angle * angle)
    elif SURROGATE == _SIGMOID:
        # s (1 - s) is even in x; the negative side cannot overflow.
        tail = tl.exp(-slope * tl.abs(x))
        result = slope * tail / ((1.0 + tail) * (1.0 + tail))
    elif SURROGATE == _TRIANGLE:
        result = tl.maximum(0.0, slope - tl.abs(x)) / (slope * slope)
    elif SURROGATE == _RECTANGLE:
        result = tl.where(tl.abs(x) < 0.5 / slope, slope, 0.0)
    elif SURROGATE == _ERF:
        scaled = slope * x
        result = tl.exp(-(scaled * scaled)) * (slope * _INVERSE_SQRT_PI)
    else:
        tl.static_assert(SURROGATE == _SOFT_SIGN)
        base = 1.0 + slope * tl.abs(x)
        result = 0.5 * slope / (base * base)
    return result


@triton.jit
def count(level: tl.tensor, most: tl.tensor) -> tl.tensor:
    """Round a membrane in units of its threshold to 0 to `most` spikes, ties to the even number."""
    # NaN passes, as the membrane's does.
    clipped = tl.where(level < 0.0, 0.0, tl.where(level > most, most, level))
    return (clipped + _ROUNDER) - _ROUNDER


@triton.jit
def step(
    current: tl.tensor,
    membrane: tl.tensor,
    adaptation: tl.tensor,
    decay: tl.tensor,
    threshold: tl.tensor,
    adaptation_decay: tl.tensor,
    strength: tl.tensor,
    TO_ZERO: tl.constexpr,
    ADAPTIVE: tl.constexpr,
    most: tl.tensor = 1.0,
    COUNTS: tl.constexpr = False,
) -> tl.tuple:
    """Potential v' before the reset, spikes, and membrane and adaptation current after it.

    Without ADAPTIVE the adaptation current comes back as it is. With COUNTS a neuron fires 0 to
    `most` spikes at once.
    """
    pre = decay * membrane + current
    if ADAPTIVE:
        pre = pre - adaptation
    if COUNTS:
        fired = count(tl.div_rn(pre, threshold), most)
    else:
        fired = tl.where(pre - threshold >= 0.0, 1.0, 0.0)
    membrane = pre * (1.0 - fired) if TO_ZERO else pre - threshold * fired
    if ADAPTIVE:
        adaptation = adaptation_decay * adaptation + strength * fired
    return pre, fired, membrane, adaptation


@triton.jit
def step_backward(
    pre: tl.tensor,
    grad_spikes: tl.tensor,
    grad_membrane: tl.tensor,
    grad_adaptation: tl.tensor,
    threshold: tl.tensor,
    strength: tl.tensor,
    slope: tl.tensor,
    SURROGATE: tl.constexpr,
    TO_ZERO: tl.constexpr,
    DETACH_RESET: tl.constexpr,
    ADAPTIVE: tl.constexpr,
    most: tl.tensor = 1.0,
    COUNTS: tl.constexpr = False,
) -> tl.tuple:
    """Gradients of v' and of the threshold, and the spikes, from those of `step`'s results.

    With COUNTS that of the spikes passes straight through their rounding.

    The gradient of v' is that of the current. With it, before this timestep, that of the membrane
    is decay * grad_pre, and that of the adaptation current adaptation_decay * grad_adaptation
    - grad_pre.
    """
    if COUNTS:
        distance = tl.div_rn(pre, threshold)
        fired = count(distance, most)
    else:
        distance = pre - threshold
        fired = tl.where(distance >= 0.0, 1.0, 0.0)
    if ADAPTIVE:
        grad_spikes = grad_spikes + strength * grad_adaptation
    if not DETACH_RESET:
        grad_spikes = grad_spikes - (pre if TO_ZERO else threshold) * grad_membrane
    if COUNTS:
        passes = (distance >= 0.0) & (distance <= most)
        through_spike = tl.where(passes, grad_spikes / threshold, 0.0)
        of_threshold = through_spike * distance
    else:
        through_spike = grad_spikes * derivative(distance, slope, SURROGATE)
        of_threshold = through_spike
    grad_kept = grad_membrane * (1.0 - fired) if TO_ZERO else grad_membrane
    grad_threshold = -of_threshold if TO_ZERO else -(of_threshold + fired * grad_membrane)
    return through_spike + grad_kept, grad_threshold, fired
