"""The Triton kernels of `triton.py`: attention and the neurons behind it in one pass, forward.

Spikes come as a pointer with strides of b, t, n, h and d; outputs are contiguous, and states shaped
like the current without its time axis. What is absent is None, which Triton knows at compile time.
Arithmetic is in float32; the operands of products count spikes, and are exact in half precision
up to 2048.
"""

from __future__ import annotations

import triton
import triton.language as tl

from spikeformer.ops.lif.triton_kernels import load_parameters, load_row
from spikeformer.ops.triton_shared import autotune, step

_CONFIGS = [triton.Config({}, num_warps=num_warps) for num_warps in (4, 8)]


@autotune(_CONFIGS, key=["channels", "BLOCK_ROWS"])
@triton.jit
def qk_token_kernel(
    query: tl.tensor,
    key: tl.tensor,
    initial_membrane: tl.tensor,
    initial_adaptation: tl.tensor,
    parameters: tl.tensor,
    numbers: tl.tuple,
    out: tl.tensor,
    final_membrane: tl.tensor,
    final_adaptation: tl.tensor,
    timesteps: tl.tensor,
    rows: tl.tensor,
    heads: tl.tensor,
    channels: tl.tensor,
    query_strides: tl.tuple,
    key_strides: tl.tuple,
    TO_ZERO: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
) -> None:
    """A program has rows, each a head of a token, of one sample."""
    ADAPTIVE: tl.constexpr = initial_adaptation is not None
    num_blocks = tl.cdiv(rows, BLOCK_ROWS)
    sample = tl.cast(tl.program_id(0) // num_blocks, tl.int64)
    row = tl.program_id(0) % num_blocks * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    d = tl.arange(0, BLOCK_CHANNELS)
    live = row < rows
    mask = live[:, None] & (d < channels)[None, :]
    n, h = tl.cast(row // heads, tl.int64), tl.cast(row % heads, tl.int64)
    query += sample * query_strides[0]
    query += (n * query_strides[2] + h * query_strides[3])[:, None] + (d * query_strides[4])[
        None, :
    ]
    key += sample * key_strides[0]
    key += (n * key_strides[2] + h * key_strides[3])[:, None] + (d * key_strides[4])[None, :]
    out += sample * timesteps * rows * channels
    out += tl.cast(row, tl.int64)[:, None] * channels + d[None, :]

    decay, threshold, adaptation_decay, strength = load_parameters(parameters, numbers)
    state = sample * rows + row
    v = load_row(initial_membrane, state, live)
    a = load_row(initial_adaptation, state, live)
    for t in range(timesteps):
        q = tl.load(query + tl.cast(t, tl.int64) * query_strides[1], mask=mask, other=0.0)
        k = tl.load(key + tl.cast(t, tl.int64) * key_strides[1], mask=mask, other=0.0)
        count = tl.sum(q.to(tl.float32), axis=1)
        _, fired, v, a = step(
            count, v, a, decay, threshold, adaptation_decay, strength, TO_ZERO, ADAPTIVE
        )
        gated = fired[:, None] * k.to(tl.float32)
        tl.store(out + tl.cast(t, tl.int64) * rows * channels, gated, mask=mask)
    tl.store(final_membrane + state, v, mask=live)
    if ADAPTIVE:
        tl.store(final_adaptation + state, a, mask=live)


@triton.jit
def _tile(
    spikes: tl.tensor,
    strides: tl.tuple,
    t: tl.tensor,
    n: tl.tensor,
    tokens: tl.tensor,
    columns: tl.tensor,
    live: tl.tensor,
) -> tl.tensor:
    """Spikes of tokens `n` at timestep `t` in float32; `columns` are offsets of (h, d)."""
    offsets = tl.cast(n, tl.int64)[:, None] * strides[2] + columns[None, :]
    mask = (n < tokens)[:, None] & live[None, :]
    tile = tl.load(spikes + tl.cast(t, tl.int64) * strides[1] + offsets, mask=mask, other=0.0)
    return tile.to(tl.float32)


@autotune(_CONFIGS, key=["features", "BLOCK_FEATURES"])
@triton.jit
def sdsa_kernel(
    query: tl.tensor,
    key: tl.tensor,
    value: tl.tensor,
    initial_membrane: tl.tensor,
    initial_adaptation: tl.tensor,
    parameters: tl.tensor,
    numbers: tl.tuple,
    out: tl.tensor,
    final_membrane: tl.tensor,
    final_adaptation: tl.tensor,
    timesteps: tl.tensor,
    queries: tl.tensor,
    keys: tl.tensor,
    features: tl.tensor,
    channels: tl.tensor,
    query_strides: tl.tuple,
    key_strides: tl.tuple,
    value_strides: tl.tuple,
    CAUSAL: tl.constexpr,
    TO_ZERO: tl.constexpr,
    BLOCK_TOKENS: tl.constexpr,
    BLOCK_FEATURES: tl.constexpr,
) -> None:
    """A program has some features of one sample, and walks through their tokens."""
    ADAPTIVE: tl.constexpr = initial_adaptation is not None
    num_blocks = tl.cdiv(features, BLOCK_FEATURES)
    sample = tl.cast(tl.program_id(0) // num_blocks, tl.int64)
    f = tl.program_id(0) % num_blocks * BLOCK_FEATURES + tl.arange(0, BLOCK_FEATURES)
    live = f < features
    h, d = tl.cast(f // channels, tl.int64), tl.cast(f % channels, tl.int64)
    query += sample * query_strides[0]
    key += sample * key_strides[0]
    value += sample * value_strides[0]
    query_columns = h * query_strides[3] + d * query_strides[4]
    key_columns = h * key_strides[3] + d * key_strides[4]
    value_columns = h * value_strides[3] + d * value_strides[4]
    out += sample * timesteps * queries * features + f[None, :]

    decay, threshold, adaptation_decay, strength = load_parameters(parameters, numbers)
    token = tl.arange(0, BLOCK_TOKENS)
    if not CAUSAL:
        state = sample * features + f
        v = load_row(initial_membrane, state, live)
        a = load_row(initial_adaptation, state, live)
    for t in range(timesteps):
        count = tl.zeros((BLOCK_FEATURES,), tl.float32)
        if not CAUSAL:
            for first in range(0, keys, BLOCK_TOKENS):
                n = first + token
                k = _tile(key, key_strides, t, n, keys, key_columns, live)
                count += tl.sum(
                    k * _tile(value, value_strides, t, n, keys, value_columns, live), axis=0
                )
            _, fired, v, a = step(
                count, v, a, decay, threshold, adaptation_decay, strength, TO_ZERO, ADAPTIVE
            )
        for first in range(0, queries, BLOCK_TOKENS):
            n = first + token
            mask = (n < queries)[:, None] & live[None, :]
            if CAUSAL:
                k = _tile(key, key_strides, t, n, keys, key_columns, live)
                matches = k * _tile(value, value_strides, t, n, keys, value_columns, live)
                counts = count[None, :] + tl.cumsum(matches, axis=0)
                count += tl.sum(matches, axis=0)
                # Too many neurons for registers: their state lies in memory between timesteps.
                states = (sample * queries + tl.cast(n, tl.int64)[:, None]) * features + f[None, :]
                if t == 0:
                    vs = load_row(initial_membrane, states, mask)
                    adapted = load_row(initial_adaptation, states, mask)
                else:
                    vs = tl.load(final_membrane + states, mask=mask, other=0.0)
                    adapted = tl.zeros(states.shape, tl.float32)
                    if ADAPTIVE:
                        adapted = tl.load(final_adaptation + states, mask=mask, other=0.0)
                _, gate, vs, adapted = step(
                    counts,
                    vs,
                    adapted,
                    decay,
                    threshold,
                    adaptation_decay,
                    strength,
                    TO_ZERO,
                    ADAPTIVE,
                )
                tl.store(final_membrane + states, vs, mask=mask)
                if ADAPTIVE:
                    tl.store(final_adaptation + states, adapted, mask=mask)
            else:
                gate = fired[None, :]
            gated = _tile(query, query_strides, t, n, queries, query_columns, live) * gate
            rows = (tl.cast(t, tl.int64) * queries + n)[:, None] * features
            tl.store(out + rows, gated, mask=mask)
    if not CAUSAL:
        tl.store(final_membrane + state, v, mask=live)
        if ADAPTIVE:
            tl.store(final_adaptation + state, a, mask=live)


@autotune(_CONFIGS, key=["queries", "channels", "KEYS_FIRST"])
@triton.jit
def ssa_kernel(
    query: tl.tensor,
    key: tl.tensor,
    value: tl.tensor,
    initial_membrane: tl.tensor,
    initial_adaptation: tl.tensor,
    parameters: tl.tensor,
    numbers: tl.tuple,
    out: tl.tensor,
    final_membrane: tl.tensor,
    final_adaptation: tl.tensor,
    scale: tl.tensor,
    timesteps: tl.tensor,
    queries: tl.tensor,
    keys: tl.tensor,
    heads: tl.tensor,
    channels: tl.tensor,
    query_strides: tl.tuple,
    key_strides: tl.tuple,
    value_strides: tl.tuple,
    CAUSAL: tl.constexpr,
    KEYS_FIRST: tl.constexpr,
    OPERAND: tl.constexpr,
    TO_ZERO: tl.constexpr,
    BLOCK_TOKENS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
) -> None:
    """A program has some queries of one head of one sample, and walks through their keys."""
    ADAPTIVE: tl.constexpr = initial_adaptation is not None
    num_blocks = tl.cdiv(queries, BLOCK_TOKENS)
    block = tl.program_id(0) % num_blocks
    head = tl.cast(tl.program_id(0) // num_blocks % heads, tl.int64)
    sample = tl.cast(tl.program_id(0) // (num_blocks * heads), tl.int64)
    token, d = tl.arange(0, BLOCK_TOKENS), tl.arange(0, BLOCK_CHANNELS)
    n = block * BLOCK_TOKENS + token
    live = d < channels
    query += sample * query_strides[0] + head * query_strides[3]
    key += sample * key_strides[0] + head * key_strides[3]
    value += sample * value_strides[0] + head * value_strides[3]
    query_columns, key_columns = d * query_strides[4], d * key_strides[4]
    value_columns = d * value_strides[4]
    features = heads * channels
    rows = tl.cast(n, tl.int64)[:, None] * features + head * channels + d[None, :]
    mask = (n < queries)[:, None] & live[None, :]
    out += sample * timesteps * queries * features + rows
    # A causal query sees no key behind the last of its block.
    last = keys
    if CAUSAL:
        last = tl.minimum(keys, (block + 1) * BLOCK_TOKENS)

    decay, threshold, adaptation_decay, strength = load_parameters(parameters, numbers)
    state = sample * queries * features + rows
    v = load_row(initial_membrane, state, mask)
    a = load_row(initial_adaptation, state, mask)
    for t in range(timesteps):
        q = _tile(query, query_strides, t, n, queries, query_columns, live).to(OPERAND)
        attended = tl.zeros((BLOCK_TOKENS, BLOCK_CHANNELS), tl.float32)
        pairs = tl.zeros((BLOCK_CHANNELS, BLOCK_CHANNELS), tl.float32)
        for first in range(0, last, BLOCK_TOKENS):
            m = first + token
            ks = _tile(key, key_strides, t, m, keys, key_columns, live).to(OPERAND)
            vs = _tile(value, value_strides, t, m, keys, value_columns, live).to(OPERAND)
            if KEYS_FIRST:
                pairs = tl.dot(tl.trans(ks), vs, pairs, input_precision="ieee")
            else:
                matches = tl.dot(q, tl.trans(ks), input_precision="ieee")
                if CAUSAL:
                    matches = tl.where(n[:, None] >= m[None, :], matches, 0.0)
                attended = tl.dot(matches.to(OPERAND), vs, attended, input_precision="ieee")
        if KEYS_FIRST:
            attended = tl.dot(q, pairs.to(OPERAND), input_precision="ieee")
        _, fired, v, a = step(
            attended * scale,
            v,
            a,
            decay,
            threshold,
            adaptation_decay,
            strength,
            TO_ZERO,
            ADAPTIVE,
        )
        tl.store(out + tl.cast(t, tl.int64) * queries * features, fired, mask=mask)
    tl.store(final_membrane + state, v, mask=mask)
    if ADAPTIVE:
        tl.store(final_adaptation + state, a, mask=mask)
