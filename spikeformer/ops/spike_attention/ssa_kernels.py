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
from spikeformer.ops.layout import BLOCK
from spikeformer.ops.lif.cpu_kernels import Kernel
from spikeformer.ops.openmp import call_kernel
from spikeformer.ops.vectors import (
    LANES,
    TABLE,
    copy_rows,
    count_matches,
    load_word,
    multiply_rows,
    read_words,
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
def _by_token(
    bits: Any, step: int, tokens: int, heads: int, head: int, channels: int, words: Any
) -> None:
    """A head's words of every token of a timestep, (tokens, blocks)."""
    blocks, padded = _blocks(channels), (heads * channels + 7) // 8 * 8
    start = step * tokens * padded + head * channels
    if channels == LANES and start & 7 == 0:
        for n in range(tokens):
            words[n] = load_word(bits, (start + n * padded) >> 3)
    else:
        for n in range(tokens):
            read_words(bits, start + n * padded, channels, words, n * blocks)


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
    """Scale times q (k^T v), (queries, channels), of q by token, and k and v by channel."""
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


@cache
def forward_kernel(dtype: torch.dtype) -> Kernel:
    """Compile the attention of spikes to spikes and the walk of its neurons through time."""
    store, exact = FORMATS[dtype].store, dtype == torch.float32

    @compiled(arrays=True, error_model="numpy")
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
                _by_token(query_bits, step, queries, heads, head, channels, q)
                _by_token(key_bits, step, keys, heads, head, channels, words)
                _by_channel(words, blocks, k)
                _by_token(value_bits, step, keys, heads, head, channels, words)
                _by_channel(words, blocks, v)
                now = current[t * features : (t + 1) * features]
                _attend(q, k, v, blocks, scale, pairs, table, now)
            state = sample * queries * row + head * channels
            if v0.size:
                copy_rows(initial_membrane, state, row, v0, 0, width, queries, channels)
            if a0.size:
                copy_rows(initial_adaptation, state, row, a0, 0, width, queries, channels)
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
            copy_rows(v1, 0, width, membrane, state, row, queries, channels)
            if a0.size:
                copy_rows(a1, 0, width, adaptation, state, row, queries, channels)
            for t in range(timesteps):
                start = (sample * timesteps + t) * queries * row + head * channels
                now = spikes[t * features : (t + 1) * features]
                if exact:
                    copy_rows(now, 0, width, out, start, row, queries, channels)
                else:
                    for n in range(queries):
                        for j in range(channels):
                            out[start + n * row + j] = store(now[n * width + j])

    return kernel


@cache
def backward_kernel(dtype: torch.dtype) -> Kernel:
    """Compile the gradients of spikes, states and parameters."""
    _, load, store = FORMATS[dtype]
    exact = dtype == torch.float32

    @compiled(arrays=True, error_model="numpy")
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
                _by_token(query_bits, step, queries, heads, head, channels, q_t[t])
                _by_token(key_bits, step, keys, heads, head, channels, k_t[t])
                _by_token(value_bits, step, keys, heads, head, channels, v_t[t])
                _by_channel(q_t[t], blocks, qc_t[t])
                _by_channel(k_t[t], blocks, kc_t[t])
                _by_channel(v_t[t], blocks, vc_t[t])
                now = current[t * features : (t + 1) * features]
                _attend(q_t[t], kc_t[t], vc_t[t], blocks, scale, pairs, table, now)
                start = step * queries * row + head * channels
                wide = grad_out[t * features : (t + 1) * features]
                if exact:
                    copy_rows(grad_spikes, start, row, wide, 0, width, queries, channels)
                else:
                    for n in range(queries):
                        for j in range(channels):
                            wide[n * width + j] = load(grad_spikes[start + n * row + j])
            state = sample * queries * row + head * channels
            if v0.size:
                copy_rows(initial_membrane, state, row, v0, 0, width, queries, channels)
            if a0.size:
                copy_rows(initial_adaptation, state, row, a0, 0, width, queries, channels)
            if dv1.size:
                copy_rows(grad_membrane, state, row, dv1, 0, width, queries, channels)
            if da1.size:
                copy_rows(grad_adaptation, state, row, da1, 0, width, queries, channels)
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
                copy_rows(dv0, 0, width, grad_initial_membrane, state, row, queries, channels)
            if a0.size:
                copy_rows(da0, 0, width, grad_initial_adaptation, state, row, queries, channels)
            if sums.size:
                for p in range(4):
                    grad_parameters[task, p] = sums[:, p].sum()

            for t in range(timesteps):
                grad = grad_current[t * features : (t + 1) * features]
                for j in range(features):
                    grad[j] *= scale
                gq[:], gk[:], gv[:] = ZERO, ZERO, ZERO
                k, v = k_t[t], v_t[t]
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
                start = step * queries * row + head * channels
                others = step * keys * row + head * channels
                if exact:
                    copy_rows(gq, 0, width, grad_query, start, row, queries, channels)
                    copy_rows(gk, 0, width, grad_key, others, row, keys, channels)
                    copy_rows(gv, 0, width, grad_value, others, row, keys, channels)
                else:
                    for n in range(queries):
                        for j in range(channels):
                            grad_query[start + n * row + j] = store(gq[n * width + j])
                    for n in range(keys):
                        for j in range(channels):
                            grad_key[others + n * row + j] = store(gk[n * width + j])
                            grad_value[others + n * row + j] = store(gv[n * width + j])

    return kernel
