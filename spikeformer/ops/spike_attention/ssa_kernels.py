"""The Numba kernels of "ssa" without `causal`, on spikes in bits.

A task is one head of one sample. Its channels lie in blocks of 32 lanes, its tokens in words of 32,
both padded with silence. Key and value meet first: how often channel c of the key and channel d of
the value fire at the same token is the number of bits that two words have in common. What a query
attends to is then the sum of the rows of this matrix that its bits select, and most of the gradient
is made of such sums too. Counts are exact in float32, whatever the order.

Axes: b batch, t timesteps, n tokens, h heads, d channels of a head.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from numba.extending import register_jitable

from spikeformer.ops.compiling import compiled
from spikeformer.ops.derivatives import ZERO
from spikeformer.ops.formats import FORMATS
from spikeformer.ops.lif.cpu_kernels import BLOCK, Kernel
from spikeformer.ops.openmp import call_kernel
from spikeformer.ops.vectors import (
    LANES,
    TABLE,
    count_matches,
    multiply_rows,
    read_word,
    subset_sums,
    sum_selected,
    transpose_words,
)

Shape = tuple[int, int, int, int, int]
"""Timesteps, queries, keys, heads and channels of a head."""

_FAILED = "the kernel of the neurons found no memory for its scratch buffer"


@register_jitable
def _blocks(size: int) -> int:
    return (size + LANES - 1) // LANES


@register_jitable
def _by_token(bits: Any, head: int, channels: int, words: Any) -> None:
    """A head's words of every token, (tokens, blocks)."""
    blocks = _blocks(channels)
    for n in range(bits.shape[0]):
        for block in range(blocks):
            start, length = block * LANES, min(LANES, channels - block * LANES)
            words[n * blocks + block] = read_word(bits[n], head * channels + start, length)


@register_jitable
def _by_channel(words: Any, blocks: int, columns: Any) -> None:
    """Words of 32 tokens for every channel, (token words, channels), from those by token."""
    for i in range(columns.size // (blocks * LANES)):
        for block in range(blocks):
            first = i * LANES * blocks + block
            transpose_words(words, first, blocks, columns, (i * blocks + block) * LANES)


@register_jitable
def _count(one: Any, block: int, other: Any, other_block: int, blocks: int, counts: Any) -> None:
    """How often each channel of a block fires with each of another block, (32, 32)."""
    stride = blocks * LANES
    for c in range(LANES):
        first, start = block * LANES + c, other_block * LANES
        count_matches(one, first, other, start, stride, one.size // stride, counts, c * LANES)


@register_jitable
def _attend(
    q: Any, k: Any, v: Any, blocks: int, scale: Any, pairs: Any, table: Any, attended: Any
) -> None:
    """Scale times q (k^T v), (queries, channels), of queries by token, keys and values by channel."""
    width = blocks * LANES
    attended[:] = ZERO
    for block in range(blocks):
        for other in range(blocks):
            _count(k, block, v, other, blocks, pairs)
            subset_sums(pairs, 0, LANES, table)
            for n in range(attended.size // width):
                sum_selected(table, q[n * blocks + block], attended, n * width + other * LANES)
    for j in range(attended.size):
        attended[j] *= scale


@register_jitable
def _gather(rows: Any, first: int, tokens: int, stride: int, channels: int, head: Any) -> None:
    """Copy a head's rows, `stride` apart, to rows of whole blocks."""
    width = _blocks(channels) * LANES
    for n in range(tokens):
        source = rows[first + n * stride : first + n * stride + channels]
        target = head[n * width : n * width + channels]
        for j in range(channels):
            target[j] = source[j]


@register_jitable
def _scatter(head: Any, tokens: int, channels: int, rows: Any, first: int, stride: int) -> None:
    """Undo `_gather`."""
    width = _blocks(channels) * LANES
    for n in range(tokens):
        source = head[n * width : n * width + channels]
        target = rows[first + n * stride : first + n * stride + channels]
        for j in range(channels):
            target[j] = source[j]


@cache
def forward_kernel(dtype: torch.dtype) -> Kernel:
    """Compile the attention of spikes to spikes and the walk of its neurons through time."""
    store = FORMATS[dtype].store

    @compiled(error_model="numpy")
    def kernel(
        first: int,
        last: int,
        shape: Shape,
        scale: Any,
        lif: int,
        numbers: Any,
        query_bits: Any,
        key_bits: Any,
        value_bits: Any,
        initial_membrane: Any,
        initial_adaptation: Any,
        out: Any,
        membrane: Any,
        adaptation: Any,
    ) -> None:
        timesteps, queries, keys, heads, channels = shape
        blocks, row = _blocks(channels), heads * channels
        width = blocks * LANES
        features = queries * width
        q = np.zeros(queries * blocks, np.uint32)
        words = np.zeros(_blocks(keys) * width, np.uint32)
        k, v = np.empty_like(words), np.empty_like(words)
        pairs, table = np.empty(LANES * LANES, np.float32), np.empty(TABLE, np.float32)
        current = np.empty(timesteps * features, np.float32)
        spikes = np.empty_like(current)
        v0 = np.zeros(features if initial_membrane.size else 0, np.float32)
        a0 = np.zeros(features if initial_adaptation.size else 0, np.float32)
        v1, a1 = np.empty(features, np.float32), np.empty(a0.size, np.float32)
        none = np.empty(0, np.float32)
        for task in range(first, last):
            sample = task // heads
            head = task - sample * heads
            for t in range(timesteps):
                step = sample * timesteps + t
                _by_token(query_bits[step], head, channels, q)
                _by_token(key_bits[step], head, channels, words)
                _by_channel(words, blocks, k)
                _by_token(value_bits[step], head, channels, words)
                _by_channel(words, blocks, v)
                now = current[t * features : (t + 1) * features]
                _attend(q, k, v, blocks, scale, pairs, table, now)
            state = sample * queries * row + head * channels
            if v0.size:
                _gather(initial_membrane, state, queries, row, channels, v0)
            if a0.size:
                _gather(initial_adaptation, state, queries, row, channels, a0)
            lif_shape, strides = (1, timesteps, features, 1), (0, features)
            failed = call_kernel(
                lif,
                (
                    0,
                    (features + BLOCK - 1) // BLOCK,
                    lif_shape,
                    numbers,
                    current,
                    strides,
                    none,
                    none,
                    none,
                    v0,
                    a0,
                    spikes,
                    strides,
                    v1,
                    a1,
                ),
            )
            if failed:
                raise MemoryError(_FAILED)
            _scatter(v1, queries, channels, membrane, state, row)
            if a0.size:
                _scatter(a1, queries, channels, adaptation, state, row)
            for t in range(timesteps):
                for n in range(queries):
                    here = ((sample * timesteps + t) * queries + n) * row + head * channels
                    y = out[here : here + channels]
                    start = t * features + n * width
                    s = spikes[start : start + channels]
                    for j in range(channels):
                        y[j] = store(s[j])

    return kernel


@cache
def backward_kernel(dtype: torch.dtype) -> Kernel:
    """Compile the gradients of spikes, states and parameters."""
    _, load, store = FORMATS[dtype]

    @compiled(error_model="numpy")
    def kernel(
        first: int,
        last: int,
        shape: Shape,
        scale: Any,
        lif: int,
        numbers: Any,
        query_bits: Any,
        key_bits: Any,
        value_bits: Any,
        initial_membrane: Any,
        initial_adaptation: Any,
        grad_spikes: Any,
        grad_membrane: Any,
        grad_adaptation: Any,
        grad_query: Any,
        grad_key: Any,
        grad_value: Any,
        grad_initial_membrane: Any,
        grad_initial_adaptation: Any,
        grad_parameters: Any,
        affine_sums: Any,
    ) -> None:
        timesteps, queries, keys, heads, channels = shape
        blocks, row = _blocks(channels), heads * channels
        width = blocks * LANES
        query_words, key_words = _blocks(queries) * width, _blocks(keys) * width
        features = query_words * LANES
        # By token, then by channel, at every timestep.
        q_t, k_t, v_t = (
            np.zeros((timesteps, query_words), np.uint32),
            np.zeros((timesteps, key_words), np.uint32),
            np.zeros((timesteps, key_words), np.uint32),
        )
        qc_t, kc_t, vc_t = np.empty_like(q_t), np.empty_like(k_t), np.empty_like(v_t)
        pairs, table = np.empty(LANES * LANES, np.float32), np.empty(TABLE, np.float32)
        turned = np.empty_like(pairs)
        current = np.empty(timesteps * features, np.float32)
        grad_out, grad_current = np.zeros_like(current), np.empty_like(current)
        gq = np.empty(features, np.float32)
        gk, gv = np.empty(key_words * LANES, np.float32), np.empty(key_words * LANES, np.float32)
        v0 = np.zeros(features if initial_membrane.size else 0, np.float32)
        a0 = np.zeros(features if initial_adaptation.size else 0, np.float32)
        dv1 = np.zeros(features if grad_membrane.size else 0, np.float32)
        da1 = np.zeros(features if grad_adaptation.size else 0, np.float32)
        dv0, da0 = np.empty_like(v0), np.empty_like(a0)
        num_blocks = (features + BLOCK - 1) // BLOCK
        sums = np.zeros((num_blocks if grad_parameters.size else 0, 4))
        none = np.empty(0, np.float32)
        for task in range(first, last):
            sample = task // heads
            head = task - sample * heads
            for t in range(timesteps):
                step = sample * timesteps + t
                _by_token(query_bits[step], head, channels, q_t[t])
                _by_token(key_bits[step], head, channels, k_t[t])
                _by_token(value_bits[step], head, channels, v_t[t])
                _by_channel(q_t[t], blocks, qc_t[t])
                _by_channel(k_t[t], blocks, kc_t[t])
                _by_channel(v_t[t], blocks, vc_t[t])
                now = current[t * features : (t + 1) * features]
                _attend(q_t[t], kc_t[t], vc_t[t], blocks, scale, pairs, table, now)
                for n in range(queries):
                    here = (step * queries + n) * row + head * channels
                    g = grad_spikes[here : here + channels]
                    start = t * features + n * width
                    wide = grad_out[start : start + channels]
                    for j in range(channels):
                        wide[j] = load(g[j])
            state = sample * queries * row + head * channels
            if v0.size:
                _gather(initial_membrane, state, queries, row, channels, v0)
            if a0.size:
                _gather(initial_adaptation, state, queries, row, channels, a0)
            if dv1.size:
                _gather(grad_membrane, state, queries, row, channels, dv1)
            if da1.size:
                _gather(grad_adaptation, state, queries, row, channels, da1)
            lif_shape, strides = (1, timesteps, features, 1), (0, features)
            failed = call_kernel(
                lif,
                (
                    0,
                    num_blocks,
                    lif_shape,
                    numbers,
                    current,
                    strides,
                    none,
                    none,
                    none,
                    v0,
                    a0,
                    grad_out,
                    strides,
                    dv1,
                    da1,
                    grad_current,
                    strides,
                    dv0,
                    da0,
                    sums,
                    affine_sums,
                ),
            )
            if failed:
                raise MemoryError(_FAILED)
            if v0.size:
                _scatter(dv0, queries, channels, grad_initial_membrane, state, row)
            if a0.size:
                _scatter(da0, queries, channels, grad_initial_adaptation, state, row)
            if sums.size:
                for p in range(4):
                    grad_parameters[task, p] = sums[:, p].sum()

            for t in range(timesteps):
                grad = grad_current[t * features : (t + 1) * features]
                for j in range(features):
                    grad[j] *= scale
                gq[:], gk[:], gv[:] = ZERO, ZERO, ZERO
                q, k, v = q_t[t], k_t[t], v_t[t]
                qc, kc, vc = qc_t[t], kc_t[t], vc_t[t]
                for block in range(blocks):  # of query and key
                    for other in range(blocks):  # of value and gradient
                        # d (k^T v), from query and gradient of the output.
                        pairs[:] = ZERO
                        for i in range(_blocks(queries)):
                            subset_sums(grad, i * LANES * width + other * LANES, width, table)
                            for c in range(LANES):
                                word = qc[(i * blocks + block) * LANES + c]
                                sum_selected(table, word, pairs, c * LANES)
                        for c in range(LANES):
                            for d in range(LANES):
                                turned[d * LANES + c] = pairs[c * LANES + d]
                        subset_sums(pairs, 0, LANES, table)
                        for n in range(keys):
                            to = n * width + other * LANES
                            sum_selected(table, k[n * blocks + block], gv, to)
                        subset_sums(turned, 0, LANES, table)
                        for n in range(keys):
                            to = n * width + block * LANES
                            sum_selected(table, v[n * blocks + other], gk, to)
                        _count(vc, other, kc, block, blocks, pairs)
                        for n in range(0, queries, 4):
                            start = n * width
                            multiply_rows(
                                grad,
                                start + other * LANES,
                                width,
                                pairs,
                                gq,
                                start + block * LANES,
                                width,
                            )
                step = sample * timesteps + t
                for n in range(queries):
                    here = (step * queries + n) * row + head * channels
                    y = grad_query[here : here + channels]
                    g = gq[n * width : n * width + channels]
                    for j in range(channels):
                        y[j] = store(g[j])
                for n in range(keys):
                    here = (step * keys + n) * row + head * channels
                    y, z = grad_key[here : here + channels], grad_value[here : here + channels]
                    g, h = (
                        gk[n * width : n * width + channels],
                        gv[n * width : n * width + channels],
                    )
                    for j in range(channels):
                        y[j] = store(g[j])
                        z[j] = store(h[j])

    return kernel
