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
from spikeformer.ops.vectors import (
    LANES,
    add_picked,
    fill,
    fired,
    pick,
    popcount,
    read_words,
    sum_picked,
)

Kernel = Callable[..., None]

ALL = U(0xFFFFFFFF)

Shape = tuple[int, int, int, int]
"""Tokens of the query, tokens of the key, heads and channels of a head."""


@register_jitable
def _blocks(features: int) -> int:
    return (features + LANES - 1) // LANES


@register_jitable
def _read_token(bits: Any, n: int, features: int, words: Any) -> None:
    """Words of the spikes of a token."""
    read_words(bits, n * ((features + 7) // 8 * 8), features, words, 0)


@register_jitable
def _read_heads(bits: Any, n: int, heads: int, channels: int, words: Any) -> None:
    """Words of the spikes of every head of a token, each from a word of its own."""
    if channels % LANES == 0:
        _read_token(bits, n, heads * channels, words)
    else:
        start, blocks = n * ((heads * channels + 7) // 8 * 8), words.size // heads
        for h in range(heads):
            read_words(bits, start + h * channels, channels, words, h * blocks)


@register_jitable
def _open(gate: Any, first: int, features: int, per_gate: int, wide: Any, words: Any) -> None:
    """Words of the features whose gate is open, with a gate for each `per_gate` features."""
    if per_gate % LANES == 0:
        for i in range(words.size):
            words[i] = ALL if gate[first + i * LANES // per_gate] != ZERO else U(0)
    else:
        for j in range(features):
            wide[j] = gate[first + j // per_gate]
        for i in range(words.size):
            words[i] = fired(wide, i * LANES)


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
        whole, num_bytes = features // LANES, (features + 7) // 8
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
    blocks = _blocks(channels)
    words = np.empty(heads * blocks, np.uint32)
    for n in range(first * tokens, last * tokens):
        _read_heads(query_bits, n, heads, channels, words)
        for h in range(heads):
            count = U(0)
            for i in range(h * blocks, (h + 1) * blocks):
                count += popcount(words[i])
            current[n * heads + h] = count


@cache
def matches_kernel(causal: bool) -> Kernel:
    """Compile the count of tokens at which key and value fire together, for "sdsa"."""

    @compiled(error_model="numpy")
    def kernel(
        first: int, last: int, shape: Shape, key_bits: Any, value_bits: Any, current: Any
    ) -> None:
        _, tokens, heads, channels = shape
        features = heads * channels
        blocks = _blocks(features)
        k, v = np.empty(blocks, np.uint32), np.empty(blocks, np.uint32)
        counts, ones = np.empty(blocks * LANES, np.float32), np.full(LANES, ONE)
        for task in range(first, last):
            counts[:] = ZERO
            for n in range(task * tokens, (task + 1) * tokens):
                _read_token(key_bits, n, features, k)
                _read_token(value_bits, n, features, v)
                for i in range(blocks):
                    add_picked(k[i] & v[i], ones, 0, counts, i * LANES)
                if causal:
                    current[n * features : (n + 1) * features] = counts[:features]
            if not causal:
                current[task * features : (task + 1) * features] = counts[:features]

    return kernel


@cache
def gate_kernel(dtype: torch.dtype) -> Kernel:
    """Compile the spikes that gates let through.

    `gates` is how many tokens have gates of their own, all of them or one for all; a gate is for
    `per_gate` features.
    """
    store, exact = FORMATS[dtype].store, dtype == torch.float32

    @compiled(error_model="numpy")
    def kernel(
        first: int,
        last: int,
        shape: Shape,
        gates: int,
        per_gate: int,
        bits: Any,
        gate: Any,
        out: Any,
    ) -> None:
        tokens, _, heads, channels = shape
        features = heads * channels
        blocks = _blocks(features)
        direct = exact and features == blocks * LANES
        words, opened = np.empty(blocks, np.uint32), np.empty(blocks, np.uint32)
        ones, wide = np.full(LANES, ONE), np.zeros(blocks * LANES, np.float32)
        for task in range(first, last):
            for n in range(tokens):
                if n < gates:
                    start = (task * gates + n) * (features // per_gate)
                    _open(gate, start, features, per_gate, wide, opened)
                start = (task * tokens + n) * features
                _read_token(bits, task * tokens + n, features, words)
                if direct:
                    for i in range(blocks):
                        pick(words[i] & opened[i], ones, 0, out, start + i * LANES)
                else:
                    for i in range(blocks):
                        pick(words[i] & opened[i], ones, 0, wide, i * LANES)
                    y = out[start : start + features]
                    for j in range(features):
                        y[j] = store(wide[j])

    return kernel


@cache
def channels_backward_kernel(dtype: torch.dtype) -> Kernel:
    """Compile the gradient of the gates of "qk_token": a sum over the channels of a head."""
    load, exact = FORMATS[dtype].load, dtype == torch.float32

    @compiled(error_model="numpy")
    def kernel(
        first: int, last: int, shape: Shape, key_bits: Any, grad_spikes: Any, grad_gate: Any
    ) -> None:
        tokens, _, heads, channels = shape
        blocks = _blocks(channels)
        words, wide = np.empty(heads * blocks, np.uint32), np.zeros(blocks * LANES, np.float32)
        direct = exact and channels == blocks * LANES
        for n in range(first * tokens, last * tokens):
            _read_heads(key_bits, n, heads, channels, words)
            for h in range(heads):
                start, total = (n * heads + h) * channels, ZERO
                if direct:
                    for i in range(blocks):
                        total += sum_picked(words[h * blocks + i], grad_spikes, start + i * LANES)
                else:
                    g = grad_spikes[start : start + channels]
                    for j in range(channels):
                        wide[j] = load(g[j])
                    for i in range(blocks):
                        total += sum_picked(words[h * blocks + i], wide, i * LANES)
                grad_gate[n * heads + h] = total

    return kernel


@cache
def query_key_backward_kernel(dtype: torch.dtype) -> Kernel:
    """Compile the gradients of query and key in "qk_token"."""
    _, load, store = FORMATS[dtype]
    exact = dtype == torch.float32

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
        direct = exact and channels % LANES == 0
        for n in range(first * tokens * heads, last * tokens * heads):
            start, end = n * channels, (n + 1) * channels
            if direct:
                opened = ALL if gate[n] != ZERO else U(0)
                for j in range(start, end, LANES):
                    fill(grad_current[n], grad_query, j)
                    pick(opened, grad_spikes, j, grad_key, j)
            else:
                opened_by, grad = gate[n], store(grad_current[n])
                q, k, g = grad_query[start:end], grad_key[start:end], grad_spikes[start:end]
                for j in range(channels):
                    q[j] = grad
                    k[j] = store(opened_by * load(g[j]))

    return kernel


@cache
def matches_backward_kernel(dtype: torch.dtype, causal: bool) -> Kernel:
    """Compile the gradient of the gates of "sdsa": a sum over tokens unless each has its own."""
    load, exact = FORMATS[dtype].load, dtype == torch.float32

    @compiled(error_model="numpy")
    def kernel(
        first: int, last: int, shape: Shape, query_bits: Any, grad_spikes: Any, grad_gate: Any
    ) -> None:
        tokens, _, heads, channels = shape
        features = heads * channels
        blocks = _blocks(features)
        direct = exact and features == blocks * LANES
        words = np.empty(blocks, np.uint32)
        sums, wide = np.empty(blocks * LANES, np.float32), np.zeros(blocks * LANES, np.float32)
        for task in range(first, last):
            sums[:] = ZERO
            for n in range(task * tokens, (task + 1) * tokens):
                _read_token(query_bits, n, features, words)
                if direct:
                    for i in range(blocks):
                        here = n * features + i * LANES
                        add_picked(words[i], grad_spikes, here, sums, i * LANES)
                else:
                    g = grad_spikes[n * features : (n + 1) * features]
                    for j in range(features):
                        wide[j] = load(g[j])
                    for i in range(blocks):
                        add_picked(words[i], wide, i * LANES, sums, i * LANES)
                if causal:
                    grad_gate[n * features : (n + 1) * features] = sums[:features]
                    sums[:] = ZERO
            if not causal:
                grad_gate[task * features : (task + 1) * features] = sums[:features]

    return kernel


@cache
def key_value_backward_kernel(dtype: torch.dtype, causal: bool) -> Kernel:
    """Compile the gradients of query, key and value in "sdsa"."""
    _, load, store = FORMATS[dtype]
    exact = dtype == torch.float32

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
        features = heads * channels
        blocks = _blocks(features)
        direct = exact and features == blocks * LANES
        opened, k = np.empty(blocks, np.uint32), np.empty(blocks, np.uint32)
        v = np.empty(blocks, np.uint32)
        grad, wide = np.zeros(blocks * LANES, np.float32), np.zeros(blocks * LANES, np.float32)
        other = np.empty(blocks * LANES, np.float32)
        gates = queries if causal else 1
        for task in range(first, last):
            for n in range(queries):
                if n < gates:
                    _open(gate, (task * gates + n) * features, features, 1, wide, opened)
                start = (task * queries + n) * features
                if direct:
                    for i in range(blocks):
                        here = start + i * LANES
                        pick(opened[i], grad_spikes, here, grad_query, here)
                else:
                    g = grad_spikes[start : start + features]
                    for j in range(features):
                        wide[j] = load(g[j])
                    for i in range(blocks):
                        pick(opened[i], wide, i * LANES, other, i * LANES)
                    y = grad_query[start : start + features]
                    for j in range(features):
                        y[j] = store(other[j])
            if not causal:
                grad[:features] = grad_current[task * features : (task + 1) * features]
            else:
                grad[:] = ZERO
            for i in range(tokens):
                n = task * tokens + i
                if causal:  # a match counts for its token and those after it, so from the last
                    n = (task + 1) * tokens - 1 - i
                    added = grad_current[n * features : (n + 1) * features]
                    for j in range(features):
                        grad[j] += added[j]
                _read_token(key_bits, n, features, k)
                _read_token(value_bits, n, features, v)
                start = n * features
                if direct:
                    for block in range(blocks):
                        j = block * LANES
                        pick(v[block], grad, j, grad_key, start + j)
                        pick(k[block], grad, j, grad_value, start + j)
                else:
                    for block in range(blocks):
                        pick(v[block], grad, block * LANES, wide, block * LANES)
                        pick(k[block], grad, block * LANES, other, block * LANES)
                    y, z = grad_key[start : start + features], grad_value[start : start + features]
                    for j in range(features):
                        y[j] = store(wide[j])
                        z[j] = store(other[j])

    return kernel
