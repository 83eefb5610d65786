"""The neuron of `neuron.py` on CPUs, with Numba: one pass over the rates, in cache.

A task is a block of neurons. Its state stays in cache while it walks through the timesteps, so that
a timestep costs one read and one write of the activation and nothing else.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numba.extending import register_jitable
from torch import Tensor

from spikeformer.conversion.coding.coding import Coding
from spikeformer.ops.compiling import compiled
from spikeformer.ops.memory import empty_like
from spikeformer.ops.threads import run_tasks

BLOCK = 2048
"""Neurons of a task: rows long enough to vectorise, few enough to stay in the L1 cache."""

_ONE, _ZERO, _LARGEST = np.float32(1.0), np.float32(0.0), np.float32(128.0)
_MIDDLE, _HIGHEST = np.int32(128), np.int32(255)


def takes(rates: Tensor) -> bool:
    """Whether the kernel can do it: plain float32 on a CPU."""
    return rates.device.type == "cpu" and rates.dtype == torch.float32 and rates.numel() > 0


class Encoded(NamedTuple):
    """What the neurons make of a stream of rates.

    Attributes:
        rates: What the events add up to after each timestep, (steps, *shape).
        multiples: The events as multiples of `θ / 128` with 128 added, at most 255, uint8; empty
            unless asked for.
        events: How many there are in each timestep, (steps,) int64.
        finite: Whether all that there was to encode is finite.
    """

    rates: Tensor
    multiples: Tensor
    events: Tensor
    finite: bool


def run(
    x: Tensor,
    theta: Tensor,
    rate: Tensor,
    lost: Tensor | None,
    first_step: int,
    coding: Coding,
    wants: tuple[bool, bool] = (True, False),
) -> Encoded:
    """Encode `x` (steps, *shape), every step contiguous; update `rate` and `lost` in place.

    Args:
        x: What there is to encode.
        theta: Largest levels, (period,): neuron i has that of `i % period`.
        rate: What has been encoded so far.
        lost: What has leaked so far; None for IF.
        first_step: Number of the first timestep.
        coding: Rate or binary coding.
        wants: Whether to write rates, and multiples; what is not written has no timesteps.
    """
    steps, neurons = len(x), rate.numel()
    shapes = [(steps if wanted else 0, *x.shape[1:]) for wanted in wants]
    encoded, multiples = empty_like(x, shapes[0]), empty_like(x, shapes[1], torch.uint8)
    num_tasks = -(-neurons // BLOCK)
    repeats = -(-(theta.numel() + BLOCK) // theta.numel())
    levels = theta.float().repeat(repeats)
    events = np.zeros((num_tasks, steps), np.int64)
    strange = np.zeros(num_tasks, np.int64)
    span = x.stride(0) * (steps - 1) + neurons
    arguments = (
        (neurons, theta.numel(), x.stride(0), steps, first_step),
        (
            np.float32(1.0 / coding.firing_point),
            np.float32(2.0 ** (1 - coding.num_levels)),
            np.float32(coding.leak),
            coding.encoding == "rate",
            np.int32(coding.rounding()[0]),
            np.int32(coding.rounding()[1]),
        ),
        torch.as_strided(x, (span,), (1,)).numpy(),
        levels.numpy(),
        rate.view(-1).numpy(),
        np.empty(0, np.float32) if lost is None else lost.view(-1).numpy(),
        encoded.view(-1).numpy(),
        multiples.view(-1).numpy(),
        events,
        strange,
    )
    run_tasks(_walk, arguments, num_tasks, x.numel())
    counts = torch.from_numpy(events.sum(axis=0))
    return Encoded(encoded, multiples, counts, not strange.any())


@register_jitable
def _size(reach: Any, smallest: Any, half: Any, mask: Any) -> Any:
    """The size of spike up to 1 that `reach` comes to (`Coding.rounding`); 0 below the smallest."""
    power = np.int32(np.int32(np.float32(reach).view(np.int32) + half) & mask).view(np.float32)
    return min(power, _ONE) if reach >= smallest else _ZERO


@compiled(arrays=True, error_model="numpy")
def _walk(
    first: int,
    last: int,
    shape: tuple[int, int, int, int, int],
    scheme: tuple[float, float, float, bool, int, int],
    x: Any,
    theta: Any,
    rate: Any,
    lost: Any,
    encoded: Any,
    multiples: Any,
    events: Any,
    strange: Any,
) -> None:
    neurons, period, stride, steps, first_step = shape
    sharpness, smallest, leak, differential, half, mask = scheme
    scale, doubt = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    fired, written = np.empty(BLOCK, np.int32), np.empty(BLOCK, np.float32)
    sent = np.empty(BLOCK, np.float32)
    for task in range(first, last):
        begin = task * BLOCK
        n = min(BLOCK, neurons - begin)
        offset = begin % period
        highest = theta[offset : offset + n]
        r = rate[begin : begin + n]
        for j in range(n):
            scale[j] = sharpness / highest[j]
            doubt[j] = _ZERO
        for step in range(steps):
            t = np.float32(first_step + step)
            share = _ONE / t
            keep = _ONE if differential else (t - _ONE) * share
            target = x[step * stride + begin : step * stride + begin + n]
            place = step * neurons + begin
            out = encoded[place : place + n] if len(encoded) else written[:n]
            # One loop per kind of neuron, so that each vectorises.
            if leak > _ZERO:
                gone = lost[begin : begin + n]
                for j in range(n):
                    kept = keep * r[j]
                    m = t * (target[j] - kept) - gone[j]
                    size = _size(abs(m) * scale[j], smallest, half, mask)
                    sent[j] = size if m >= _ZERO else -size
                    spike = sent[j] * highest[j]
                    r[j] = kept + spike * share
                    out[j] = r[j]
                    gone[j] += leak * (m - spike)
                    fired[j] = size > _ZERO
            else:
                for j in range(n):
                    kept = keep * r[j]
                    m = t * (target[j] - kept)
                    size = _size(abs(m) * scale[j], smallest, half, mask)
                    sent[j] = size if m >= _ZERO else -size
                    spike = sent[j] * highest[j]
                    r[j] = kept + spike * share
                    out[j] = r[j]
                    fired[j] = size > _ZERO
            if len(multiples):
                bytes_ = multiples[place : place + n]
                for j in range(n):
                    bytes_[j] = np.uint8(min(np.int32(sent[j] * _LARGEST) + _MIDDLE, _HIGHEST))
            total = 0
            for j in range(n):
                doubt[j] += target[j] - target[j]  # 0, or NaN for what is not finite
                total += fired[j]
            events[task, step] = total
        strange[task] = np.count_nonzero(doubt[:n])
