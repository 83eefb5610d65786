"""The Numba kernels that pack spikes, and those of "sdsa" and "qk_token" on the bits.

Kernels see memory as flat arrays, with tokens as rows of features, the channels of all heads. The
bits of a token are padded to full bytes. A task is one timestep of one sample, a row of (b, t).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from numba.extending import register_jitable

from spikeformer.ops.compiling import compiled
from spikeformer.ops.derivatives import ONE, ZERO
from spikeformer.ops.formats import FORMATS, U
from spikeformer.ops.vectors import LANES, add_picked, fired, pick, popcount, read_word, sum_picked

Kernel = Callable[..., None]

ALL = U(0xFFFFFFFF)

Shape = tuple[int, int, int, int]
"""Tokens of the query, tokens of the key, heads and channels of a head."""


@register_jitable
def _row_bits(features: int) -> int:
    return (features + 7) // 8 * 8


@cache
def _writer(dtype: torch.dtype) -> Callable[..., None]:
    store, exact = FORMATS[dtype].store, dtype == torch.float32

    def write_part(word: Any, source: Any, first: int, out: Any, to: int, length: int) -> None:
        # Indices that cannot be negative let the loop vectorise.
        source_at, out_at = np.uint64(first), np.uint64(to)
        for j in range(np.uint64(length)):
            bit = (word >> U(j)) & U(1)
            out[out_at + j] = store(source[source_at + j] if bit else ZERO)

    def write(word: Any, source: Any, first: int, out: Any, to: int, length: int) -> None:
        """Write the numbers of `source` whose bit is set in `word`, and zeros between them."""
        if exact and length == LANES:
            pick(word, source, first, out, to)
        else:
            write_part(word, source, first, out, to, length)

    # Numba tells machine code apart by name; these would have one for two types of 16 bits.
    for function in (write_part, write):
        function.__qualname__ = f"{function.__name__}_{dtype}".replace(".", "_")
    write_part = register_jitable(write_part)
    return register_jitable(write)


# Loops are functions of their own: the rest is then small enough to become part of its callers.
@register_jitable
def _add_part(word: Any, source: Any, first: int, sums: Any, to: int, length: int) -> None:
    for j in range(length):
        sums[to + j] += source[first + j] if (word >> U(j)) & U(1) else ZERO


@register_jitable
def _add(word: Any, source: Any, first: int, sums: Any, to: int, length: int) -> None:
    """Add the numbers of `source` whose bit is set in `word` to `sums`."""
    if length == LANES:
        add_picked(word, source, first, sums, to)
    else:
        _add_part(word, source, first, sums, to, length)


@register_jitable
def _part_of_gates(gate: Any, first: int, length: int) -> Any:
    word = U(0)
    for j in range(length):
        word |= U(gate[first + j] != ZERO) << U(j)
    return word


@register_jitable
def gate_word(gate: Any, first: int, length: int) -> Any:
    """Word of the gates from `first` that are open."""
    return fired(gate, first) if length == LANES else _part_of_gates(gate, first, length)


@cache
def pack_kernel(dtype: torch.dtype) -> Kernel:
    """Compile the packing of spikes into bits."""
    load = FORMATS[dtype].load

    @compiled(error_model="numpy")
    def kernel(
        first: int,
        last: int,
        shape: tuple[int, int, int],
        spikes: Any,
        strides: tuple[int, int, int],
        bits: Any,
    ) -> None:
        timesteps, tokens, features = shape
        whole, num_bytes = features // LANES, _row_bits(features) // 8
        for task in range(first, last):
            sample = task // timesteps
            start = sample * strides[0] + (task - sample * timesteps) * strides[1]
            for n in range(tokens):
                here, to = start + n * strides[2], (task * tokens + n) * num_bytes
                for i in range(whole):
                    word = fired(spikes, here + i * LANES)
                    for byte in range(4):
                        bits[to + 4 * i + byte] = word >> U(8 * byte)
                for i in range(4 * whole, num_bytes):
                    bits[to + i] = 0
                for j in range(whole * LANES, features):
                    bits[to + (j >> 3)] |= np.uint8((load(spikes[here + j]) != ZERO) << (j & 7))

    return kernel


@compiled(error_model="numpy")
def channels_kernel(first: int, last: int, shape: Shape, query_bits: Any, current: Any) -> None:
    """Count the spikes of every head, which "qk_token" integrates."""
    tokens, _, heads, channels = shape
    row = _row_bits(heads * channels)
    for n in range(first * tokens, last * tokens):
        for h in range(heads):
            count = U(0)
            for j in range(0, channels, LANES):
                start = n * row + h * channels + j
                count += popcount(read_word(query_bits, start, min(LANES, channels - j)))
            current[n * heads + h] = count


@cache
def matches_kernel(causal: bool) -> Kernel:
    """Compile the count of tokens at which key and value fire together, for "sdsa"."""

    @compiled(error_model="numpy")
    def kernel(
        first: int, last: int, shape: Shape, key_bits: Any, value_bits: Any, current: Any
    ) -> None:
        _, tokens, heads, channels = shape
        features, row = heads * channels, _row_bits(heads * channels)
        counts, ones = np.empty(features, np.float32), np.full(LANES, ONE)
        for task in range(first, last):
            counts[:] = ZERO
            for n in range(task * tokens, (task + 1) * tokens):
                for j in range(0, features, LANES):
                    length = min(LANES, features - j)
                    k = read_word(key_bits, n * row + j, length)
                    v = read_word(value_bits, n * row + j, length)
                    _add(k & v, ones, 0, counts, j, length)
                if causal:
                    current[n * features : (n + 1) * features] = counts
            if not causal:
                current[task * features : (task + 1) * features] = counts

    return kernel


@cache
def gate_kernel(dtype: torch.dtype, per_head: bool) -> Kernel:
    """Compile the spikes that a gate lets through: one for each head, or one for each channel.

    `gates` is how many tokens have gates of their own, all of them or one for all.
    """
    write = _writer(dtype)

    @compiled(error_model="numpy")
    def kernel(
        first: int, last: int, shape: Shape, gates: int, bits: Any, gate: Any, out: Any
    ) -> None:
        tokens, _, heads, channels = shape
        features, row = heads * channels, _row_bits(heads * channels)
        size = channels if per_head else features
        ones = np.full(LANES, ONE)
        for task in range(first, last):
            for n in range(tokens):
                at = task * tokens + n
                mine = task * gates + min(n, gates - 1)
                for group in range(features // max(1, size)):
                    for j in range(0, size, LANES):
                        length = min(LANES, size - j)
                        start = group * size + j
                        word = read_word(bits, at * row + start, length)
                        if per_head:
                            word = word if gate[mine * heads + group] != ZERO else U(0)
                        else:
                            word &= gate_word(gate, mine * features + start, length)
                        write(word, ones, 0, out, at * features + start, length)

    return kernel


@cache
def channels_backward_kernel(dtype: torch.dtype) -> Kernel:
    """Compile the gradient of the gates of "qk_token": a sum over the channels of a head."""
    _, load, _ = FORMATS[dtype]
    exact = dtype == torch.float32

    @compiled(error_model="numpy")
    def kernel(
        first: int, last: int, shape: Shape, key_bits: Any, grad_spikes: Any, grad_gate: Any
    ) -> None:
        tokens, _, heads, channels = shape
        row = _row_bits(heads * channels)
        wide = np.zeros(LANES, np.float32)
        for n in range(first * tokens, last * tokens):
            for h in range(heads):
                total = ZERO
                for j in range(0, channels, LANES):
                    length = min(LANES, channels - j)
                    word = read_word(key_bits, n * row + h * channels + j, length)
                    here = (n * heads + h) * channels + j
                    if exact and length == LANES:
                        total += sum_picked(word, grad_spikes, here)
                    else:
                        here_at = np.uint64(here)
                        for i in range(np.uint64(length)):
                            wide[i] = load(grad_spikes[here_at + i])
                        total += sum_picked(word, wide, 0)
                grad_gate[n * heads + h] = total

    return kernel


@cache
def query_key_backward_kernel(dtype: torch.dtype) -> Kernel:
    """Compile the gradients of query and key in "qk_token"."""
    load, exact, write = FORMATS[dtype].load, dtype == torch.float32, _writer(dtype)

    @compiled(error_model="numpy")
    def kernel(
        first: int,
        last: int,
        shape: Shape,
        gate: Any,
        grad_current: Any,
        grad_spikes: Any,
        grad_query: Any,
        grad_key: Any,
    ) -> None:
        tokens, _, heads, channels = shape
        grad, wide = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
        for n in range(first * tokens * heads, last * tokens * heads):
            grad[:] = grad_current[n]
            opened = ALL if gate[n] != ZERO else U(0)
            for j in range(0, channels, LANES):
                length, here = min(LANES, channels - j), n * channels + j
                write(ALL, grad, 0, grad_query, here, length)
                if exact:
                    write(opened, grad_spikes, here, grad_key, here, length)
                else:
                    here_at = np.uint64(here)
                    for i in range(np.uint64(length)):
                        wide[i] = load(grad_spikes[here_at + i])
                    write(opened, wide, 0, grad_key, here, length)

    return kernel


@cache
def matches_backward_kernel(dtype: torch.dtype, causal: bool) -> Kernel:
    """Compile the gradient of the gates of "sdsa": a sum over tokens unless each has its own."""
    _, load, _ = FORMATS[dtype]
    exact = dtype == torch.float32

    @compiled(error_model="numpy")
    def kernel(
        first: int, last: int, shape: Shape, query_bits: Any, grad_spikes: Any, grad_gate: Any
    ) -> None:
        tokens, _, heads, channels = shape
        features, row = heads * channels, _row_bits(heads * channels)
        wide, sums = np.empty(features, np.float32), np.zeros(features, np.float32)
        for task in range(first, last):
            sums[:] = ZERO
            for n in range(task * tokens, (task + 1) * tokens):
                if not exact:
                    g = grad_spikes[n * features : (n + 1) * features]
                    for j in range(features):
                        wide[j] = load(g[j])
                for j in range(0, features, LANES):
                    length = min(LANES, features - j)
                    word = read_word(query_bits, n * row + j, length)
                    if exact:
                        _add(word, grad_spikes, n * features + j, sums, j, length)
                    else:
                        _add(word, wide, j, sums, j, length)
                if causal:
                    grad_gate[n * features : (n + 1) * features] = sums
                    sums[:] = ZERO
            if not causal:
                grad_gate[task * features : (task + 1) * features] = sums

    return kernel


@cache
def key_value_backward_kernel(dtype: torch.dtype, causal: bool) -> Kernel:
    """Compile the gradients of query, key and value in "sdsa"."""
    load, exact, write = FORMATS[dtype].load, dtype == torch.float32, _writer(dtype)

    @compiled(error_model="numpy")
    def kernel(
        first: int,
        last: int,
        shape: Shape,
        key_bits: Any,
        value_bits: Any,
        gate: Any,
        grad_current: Any,
        grad_spikes: Any,
        grad_query: Any,
        grad_key: Any,
        grad_value: Any,
    ) -> None:
        queries, tokens, heads, channels = shape
        features, row = heads * channels, _row_bits(heads * channels)
        grad, wide = np.empty(features, np.float32), np.empty(features, np.float32)
        opened = np.empty((features + LANES - 1) // LANES, np.uint32)
        gates = queries if causal else 1
        for task in range(first, last):
            for n in range(queries):
                if n < gates:
                    start = (task * gates + n) * features
                    for j in range(0, features, LANES):
                        opened[j // LANES] = gate_word(gate, start + j, min(LANES, features - j))
                start = (task * queries + n) * features
                if not exact:
                    g = grad_spikes[start : start + features]
                    for j in range(features):
                        wide[j] = load(g[j])
                for j in range(0, features, LANES):
                    word, length = opened[j // LANES], min(LANES, features - j)
                    if exact:
                        write(word, grad_spikes, start + j, grad_query, start + j, length)
                    else:
                        write(word, wide, j, grad_query, start + j, length)
            grad[:] = ZERO
            if not causal:
                grad[:] = grad_current[task * features : (task + 1) * features]
            for i in range(tokens):
                n = task * tokens + i
                if causal:  # a match counts for its token and those after it, so from the last
                    n = (task + 1) * tokens - 1 - i
                    for j in range(features):
                        grad[j] += grad_current[n * features + j]
                for j in range(0, features, LANES):
                    length = min(LANES, features - j)
                    v = read_word(value_bits, n * row + j, length)
                    write(v, grad, j, grad_key, n * features + j, length)
                    k = read_word(key_bits, n * row + j, length)
                    write(k, grad, j, grad_value, n * features + j, length)

    return kernel
