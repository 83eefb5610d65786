"""Spike codes on CPUs with Numba: values are read once and spikes written once.

A task is one block of features of one sample, which walks through time with its values, its
tracker and its random numbers in cache. Arithmetic follows the reference operation by operation
and without contraction, so spikes are bit-equal to it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from numba.extending import register_jitable
from torch import Tensor

from spikeformer.ops.compiling import compiled
from spikeformer.ops.derivatives import HALF, ONE, ROUNDER, ZERO
from spikeformer.ops.formats import FORMATS, flat, strided
from spikeformer.ops.layout import as_rows
from spikeformer.ops.memory import empty_like
from spikeformer.ops.scratch import allocate, release
from spikeformer.ops.spike_encode.reference import (
    PHILOX_KEY_STEPS,
    PHILOX_MULTIPLIERS,
    PHILOX_ROUNDS,
)
from spikeformer.ops.threads import run_tasks

U, U64 = np.uint32, np.uint64

# Features per task: rows long enough to vectorise, scratch small enough for the first cache.
BLOCK = 1024

_EVEN, _ODD = map(U64, PHILOX_MULTIPLIERS)
_STEP0, _STEP1 = map(U, PHILOX_KEY_STEPS)
_UNIT = np.float32(2.0**-24)


@register_jitable
def philox(words: Any, n: int, k0: Any, k1: Any) -> None:
    """Turn n counters into random words in place; `words` holds four rows of BLOCK.

    Rounds are the outer loop: LLVM vectorises over counters then, and not the other way round.
    """
    for _ in range(PHILOX_ROUNDS):
        for j in range(n):
            even = U64(words[j]) * _EVEN
            odd = U64(words[2 * BLOCK + j]) * _ODD
            words[j] = U(odd >> U64(32)) ^ words[BLOCK + j] ^ k0
            words[BLOCK + j] = U(odd)
            words[2 * BLOCK + j] = U(even >> U64(32)) ^ words[3 * BLOCK + j] ^ k1
            words[3 * BLOCK + j] = U(even)
        k0, k1 = U(k0 + _STEP0), U(k1 + _STEP1)


@cache
def _kernel(dtype: torch.dtype, code: str) -> Callable[..., None]:
    _, load, store = FORMATS[dtype]
    rate, latency, delta, poisson = (code == c for c in ("rate", "latency", "delta", "poisson"))

    @compiled(error_model="numpy")
    def kernel(
        first: int,
        last: int,
        shape: tuple[int, int],
        parameter: Any,
        key: tuple[Any, Any, Any],
        x: Any,
        x_strides: tuple[int, int],
        spikes: Any,
    ) -> None:
        timesteps, features = shape
        stream, k0, k1 = key
        last_step = np.float32(timesteps - 1)
        tracker, words = allocate(np.float32, BLOCK), allocate(np.uint32, 4 * BLOCK)
        num_blocks = (features + BLOCK - 1) // BLOCK
        for task in range(first, last):
            sample = task // num_blocks
            begin = (task - sample * num_blocks) * BLOCK
            n = min(BLOCK, features - begin)
            tracker[:] = ZERO
            for t in range(timesteps):
                here = sample * x_strides[0] + t * x_strides[1] + begin
                value = x[here : here + n]
                here = (sample * timesteps + t) * features + begin
                spike = spikes[here : here + n]
                if rate:
                    now, after = np.float32(t), np.float32(t + 1)
                    for j in range(n):
                        v = load(value[j])
                        spike[j] = store(np.floor(v * after + HALF) - np.floor(v * now + HALF))
                if latency:
                    now = np.float32(t)
                    for j in range(n):
                        v = load(value[j])
                        step = (ONE - v) * last_step
                        fires = (step + ROUNDER) - ROUNDER == now and v > ZERO
                        spike[j] = store(ONE if fires else ZERO)
                if delta:
                    for j in range(n):
                        lag = load(value[j]) - tracker[j]
                        s = ONE if lag >= parameter else (-ONE if lag <= -parameter else ZERO)
                        tracker[j] += parameter * s
                        spike[j] = store(s)
                if poisson:
                    if t % 4 == 0:
                        for j in range(n):
                            words[j], words[BLOCK + j] = U(begin + j), U(t // 4)
                            words[2 * BLOCK + j], words[3 * BLOCK + j] = U(sample), stream
                        philox(words, n, k0, k1)
                    word = words[(t % 4) * BLOCK : (t % 4) * BLOCK + n]
                    for j in range(n):
                        uniform = np.float32(np.int32(word[j] >> U(8))) * _UNIT
                        fires = uniform < load(value[j]) * parameter
                        spike[j] = store(ONE if fires else ZERO)
        release(words)
        release(tracker)

    return kernel


def forward(
    x_btf: Tensor, timesteps: int, code: str, parameter: float, key: Tensor | None
) -> Tensor:
    """Spikes (b, t, f) of values (b, t, f) or, held for all timesteps, (b, 1, f)."""
    x_btf = as_rows(x_btf.expand(-1, timesteps, -1))
    batch, _, features = x_btf.shape
    spikes = empty_like(x_btf, (batch, timesteps, features))
    seed, stream = (0, 0) if key is None else key.tolist()
    kernel = _kernel(x_btf.dtype, code)
    arguments = (
        (timesteps, features),
        np.float32(parameter),
        tuple(U(word & 0xFFFFFFFF) for word in (stream, seed, seed >> 32)),
        *strided(x_btf),
        flat(spikes),
    )
    run_tasks(kernel, arguments, batch * -(-features // BLOCK), spikes.numel())
    return spikes
