"""The neuron of `neuron.py` on CPUs, with Numba: one pass over the rates, in cache.

A task is a block of neurons. Its state stays in cache while it walks through the timesteps, so that
a timestep costs one read and one write of the activation and nothing else.
"""

from __future__ import annotations

from typing import Any

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

_ONE, _ZERO = np.float32(1.0), np.float32(0.0)


def takes(rates: Tensor) -> bool:
    """Whether the kernel can do it: plain float32 on a CPU."""
    return rates.device.type == "cpu" and rates.dtype == torch.float32 and rates.numel() > 0


def run(
    x: Tensor, theta: Tensor, rate: Tensor, lost: Tensor | None, first_step: int, coding: Coding
) -> tuple[Tensor, Tensor, bool]:
    """Encode `x` (steps, *shape), every step contiguous; update `rate` and `lost` in place.

    Args:
        x: What there is to encode.
        theta: Largest levels, (period,): neuron i has that of `i % period`.
        rate: What has been encoded so far.
        lost: What has leaked so far; None for IF.
        first_step: Number of the first timestep.
        coding: Rate or binary coding.

    Returns:
        The rates, the events of each timestep, and whether all of `x` is finite.
    """
    steps, neurons = len(x), rate.numel()
    encoded = empty_like(x, x.shape)
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
        events,
        strange,
    )
    run_tasks(_walk, arguments, num_tasks, x.numel())
    return encoded, torch.from_numpy(events.sum(axis=0)), not strange.any()


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
    events: Any,
    strange: Any,
) -> None:
    neurons, period, stride, steps, first_step = shape
    sharpness, smallest, leak, differential, half, mask = scheme
    scale, doubt = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    fired = np.empty(BLOCK, np.int32)
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
            out = encoded[step * neurons + begin : step * neurons + begin + n]
            # One loop per kind of neuron, so that each vectorises.
            if leak > _ZERO:
                gone = lost[begin : begin + n]
                for j in range(n):
                    kept = keep * r[j]
                    m = t * (target[j] - kept) - gone[j]
                    size = _size(abs(m) * scale[j], smallest, half, mask)
                    spike = size * highest[j] if m >= _ZERO else -size * highest[j]
                    r[j] = kept + spike * share
                    out[j] = r[j]
                    gone[j] += leak * (m - spike)
                    fired[j] = size > _ZERO
            else:
                for j in range(n):
                    kept = keep * r[j]
                    m = t * (target[j] - kept)
                    size = _size(abs(m) * scale[j], smallest, half, mask)
                    spike = size * highest[j] if m >= _ZERO else -size * highest[j]
                    r[j] = kept + spike * share
                    out[j] = r[j]
                    fired[j] = size > _ZERO
            total = 0
            for j in range(n):
                doubt[j] += target[j] - target[j]  # 0, or NaN for what is not finite
                total += fired[j]
            events[task, step] = total
        strange[task] = np.count_nonzero(doubt[:n])
