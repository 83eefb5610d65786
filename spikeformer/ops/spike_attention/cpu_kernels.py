"""What the kernels on bits share: spikes as words, words as rows of numbers, and packing.

Kernels see memory as flat arrays, with tokens as rows of features, the channels of all heads. The
bits of a token are padded to full bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from numba.extending import register_jitable

from spikeformer.ops.compiling import compiled
from spikeformer.ops.derivatives import ZERO
from spikeformer.ops.formats import FORMATS, U
from spikeformer.ops.scratch import allocate, release
from spikeformer.ops.vectors import AHEAD, LANES, fired, pick, store_word, will_read, will_write

Kernel = Callable[..., None]

Shape = tuple[int, int, int, int, int, int]
"""Timesteps, tokens of the query, tokens of the key, heads, channels of a head, tokens of a task.

The last is for "qk_token" alone.
"""

Strides = tuple[int, int, int]
"""Of samples, timesteps and tokens."""


@register_jitable
def blocks_of(features: int) -> int:
    """Words that so many features take."""
    return (features + LANES - 1) // LANES


@cache
def word_reader(dtype: torch.dtype) -> Any:
    """Reading spikes of a dtype as words."""
    load = FORMATS[dtype].load

    @register_jitable
    def read(spikes: Any, start: int, length: int, words: Any) -> None:
        """Words of `length` spikes, the last one padded with silence."""
        whole = length // LANES
        for i in range(whole):
            words[i] = fired(spikes, start + i * LANES)
            will_read(spikes, start + i * LANES + AHEAD, LANES)
        if whole * LANES < length:
            word = U(0)
            for j in range(whole * LANES, length):
                word |= U(load(spikes[start + j]) != ZERO) << U(j - whole * LANES)
            words[whole] = word

    return _named(read, dtype)


@cache
def row_writer(dtype: torch.dtype) -> Any:
    """Writing rows of a dtype."""
    store, exact = FORMATS[dtype].store, dtype == torch.float32

    @register_jitable
    def write(
        words: Any, row: Any, stride: int, out: Any, start: int, length: int, wide: Any
    ) -> None:
        """Write the numbers of a row whose bit is set, and zeros between.

        `stride` is how far the numbers of two words lie apart, 0 if all take the same 32; `wide` is
        room for 32.
        """
        if exact and length % LANES == 0:
            for i in range(length // LANES):
                pick(words[i], row, i * stride, out, start + i * LANES)
                will_write(out, start + i * LANES + AHEAD, LANES)
        else:
            for i in range(blocks_of(length)):
                pick(words[i], row, i * stride, wide, 0)
                for j in range(min(LANES, length - i * LANES)):
                    out[start + i * LANES + j] = store(wide[j])

    return _named(write, dtype)


def _named(function: Any, dtype: torch.dtype) -> Any:
    """Name a function by its dtype, since machine code of other processes is found by its name."""
    function.__qualname__ += f"_{dtype}"
    return function


@register_jitable
def write_bits(words: Any, bits: Any, byte: int, length: int) -> None:
    """Write the words of `length` spikes as bytes, as many as they need."""
    whole = length // LANES
    for i in range(whole):
        store_word(words[i], bits, byte + 4 * i)
    for i in range(4 * whole, (length + 7) // 8):
        bits[byte + i] = words[whole] >> U(8 * (i - 4 * whole))


@cache
def pack_kernel(dtype: torch.dtype) -> Kernel:
    """Compile the packing of spikes into bits; a task is one timestep of one sample."""
    read = word_reader(dtype)

    @compiled(error_model="numpy")
    def kernel(
        first: int,
        last: int,
        shape: tuple[int, int, int],
        spikes: Any,
        strides: Strides,
        bits: Any,
    ) -> None:
        timesteps, tokens, features = shape
        words = allocate(np.uint32, blocks_of(features))
        for task in range(first, last):
            sample = task // timesteps
            start = sample * strides[0] + (task - sample * timesteps) * strides[1]
            for n in range(tokens):
                read(spikes, start + n * strides[2], features, words)
                byte = (task * tokens + n) * ((features + 7) // 8)
                write_bits(words, bits, byte, features)
        release(words)

    return kernel
