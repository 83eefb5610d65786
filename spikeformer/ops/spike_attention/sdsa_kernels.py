"""The Numba kernels of "sdsa", each of which reads and writes every spike once.

A task is one sample, walked through all its timesteps. Its whole rows lie side by side; tasks of
some of the features, parts of rows, took three times as long.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch

from spikeformer.ops.compiling import compiled
from spikeformer.ops.derivatives import ONE, ZERO
from spikeformer.ops.formats import FORMATS
from spikeformer.ops.scratch import allocate, release
from spikeformer.ops.spike_attention.cpu_kernels import (
    Kernel,
    Shape,
    Strides,
    blocks_of,
    row_writer,
    word_reader,
    write_bits,
)
from spikeformer.ops.spike_attention.neuron_kernels import (
    fire,
    fire_backward,
    give,
    lif_blocks,
    take,
)
from spikeformer.ops.vectors import (
    AHEAD,
    LANES,
    add_picked,
    copy_rows,
    fired,
    pick,
    read_words,
    will_read,
    will_write,
)


@cache
def sdsa_kernel(dtype: torch.dtype, causal: bool) -> Kernel:
    """Compile "sdsa": a feature's gate counts at how many tokens key and value fire together."""
    read, write = word_reader(dtype), row_writer(dtype)

    @compiled(error_model="numpy")
    def kernel(
        first: int,
        last: int,
        shape: Shape,
        lif: int,
        numbers: Any,
        query: Any,
        query_strides: Strides,
        key: Any,
        key_strides: Strides,
        value: Any,
        value_strides: Strides,
        query_bits: Any,
        key_bits: Any,
        value_bits: Any,
        initial_membrane: Any,
        initial_adaptation: Any,
        out: Any,
        membrane: Any,
        adaptation: Any,
    ) -> None:
        timesteps, queries, keys, heads, channels, _ = shape
        features = heads * channels
        gates, blocks, row_bytes = (
            queries if causal else 1,
            blocks_of(features),
            (features + 7) // 8,
        )
        width = blocks * LANES
        size = gates * width
        words = allocate(np.uint32, 3 * blocks)
        q, k, v = words[:blocks], words[blocks : 2 * blocks], words[2 * blocks :]
        rows = allocate(np.float32, 2 * LANES + width + (2 * timesteps + 4) * size)
        ones, wide = rows[:LANES], rows[LANES : 2 * LANES]
        counts, rest = rows[2 * LANES : 2 * LANES + width], rows[2 * LANES + width :]
        current, gate = rest[: timesteps * size], rest[timesteps * size : 2 * timesteps * size]
        state = rest[2 * timesteps * size :]
        ones[:] = ONE
        for sample in range(first, last):
            for t in range(timesteps):
                counts[:] = ZERO
                for n in range(keys):
                    here = sample * key_strides[0] + t * key_strides[1] + n * key_strides[2]
                    read(key, here, features, k)
                    here = sample * value_strides[0] + t * value_strides[1] + n * value_strides[2]
                    read(value, here, features, v)
                    for i in range(blocks):
                        add_picked(k[i] & v[i], ones, 0, counts, i * LANES)
                    if key_bits.size:
                        byte = ((sample * timesteps + t) * keys + n) * row_bytes
                        write_bits(k, key_bits, byte, features)
                        write_bits(v, value_bits, byte, features)
                    if causal:
                        copy_rows(counts, 0, 0, current, (t * gates + n) * width, 0, 1, width)
                if not causal:
                    copy_rows(counts, 0, 0, current, t * width, 0, 1, width)
            place = (sample * gates * features, features, width, gates, features)
            take(initial_membrane, place, state[:size])
            take(initial_adaptation, place, state[size : 2 * size])
            fire(lif, timesteps, size, numbers, current, state, gate)
            give(state[2 * size : 3 * size], place, membrane)
            give(state[3 * size : 4 * size], place, adaptation)
            for t in range(timesteps):
                for n in range(queries):
                    here = sample * query_strides[0] + t * query_strides[1] + n * query_strides[2]
                    read(query, here, features, q)
                    row = (sample * timesteps + t) * queries + n
                    if query_bits.size:
                        write_bits(q, query_bits, row * row_bytes, features)
                    from_gate = (t * gates + (n if causal else 0)) * width
                    for i in range(blocks):
                        q[i] &= fired(gate, from_gate + i * LANES)
                    write(q, ones, 0, out, row * features, features, wide)
        release(rows)
        release(words)

    return kernel


@cache
def sdsa_backward_kernel(dtype: torch.dtype, causal: bool) -> Kernel:
    """Compile the gradients of "sdsa"."""
    _, load, store = FORMATS[dtype]
    write, exact = row_writer(dtype), dtype == torch.float32

    @compiled(error_model="numpy")
    def kernel(
        first: int,
        last: int,
        shape: Shape,
        lif: tuple[int, int],
        numbers: Any,
        slope: Any,
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
        no_sums: Any,
    ) -> None:
        timesteps, queries, keys, heads, channels, _ = shape
        features = heads * channels
        gates, blocks, row_bytes = (
            queries if causal else 1,
            blocks_of(features),
            (features + 7) // 8,
        )
        width = blocks * LANES
        size = gates * width
        both = allocate(np.uint32, 2 * blocks)
        words, others = both[:blocks], both[blocks:]
        steps = timesteps * size
        rows = allocate(np.float32, LANES + 2 * width + 4 * steps + 8 * size)
        ones, sums = rows[:LANES], rows[LANES : LANES + width]
        wide, rest = rows[LANES + width : LANES + 2 * width], rows[LANES + 2 * width :]
        current, gate = rest[:steps], rest[steps : 2 * steps]
        grad_gate, grad_current = rest[2 * steps : 3 * steps], rest[3 * steps : 4 * steps]
        state = rest[4 * steps : 4 * steps + 4 * size]
        grad_state = rest[4 * steps + 4 * size :]
        ones[:] = ONE
        direct, shares = exact and features == width, lif_blocks(size)
        for sample in range(first, last):
            for t in range(timesteps):
                sums[:] = ZERO
                for n in range(keys):
                    start = 8 * ((sample * timesteps + t) * keys + n) * row_bytes
                    read_words(key_bits, start, features, words, 0)
                    read_words(value_bits, start, features, others, 0)
                    for i in range(blocks):
                        add_picked(words[i] & others[i], ones, 0, sums, i * LANES)
                    if causal:
                        copy_rows(sums, 0, 0, current, (t * gates + n) * width, 0, 1, width)
                if not causal:
                    copy_rows(sums, 0, 0, current, t * width, 0, 1, width)
            place = (sample * gates * features, features, width, gates, features)
            take(initial_membrane, place, state[:size])
            take(initial_adaptation, place, state[size : 2 * size])
            take(grad_membrane, place, grad_state[:size])
            take(grad_adaptation, place, grad_state[size : 2 * size])
            fire(lif[0], timesteps, size, numbers, current, state, gate)

            for t in range(timesteps):
                sums[:] = ZERO
                for n in range(queries):
                    row = (sample * timesteps + t) * queries + n
                    here = row * features
                    read_words(query_bits, 8 * row * row_bytes, features, words, 0)
                    from_gate = (t * gates + (n if causal else 0)) * width
                    if direct:
                        for i in range(blocks):
                            j = i * LANES
                            add_picked(words[i], grad_spikes, here + j, sums, j)
                            opened = fired(gate, from_gate + j)
                            pick(opened, grad_spikes, here + j, grad_query, here + j)
                            will_read(grad_spikes, here + j + AHEAD, LANES)
                            will_write(grad_query, here + j + AHEAD, LANES)
                    else:
                        for j in range(features):
                            wide[j] = load(grad_spikes[here + j])
                            grad_query[here + j] = store(wide[j] * gate[from_gate + j])
                        for i in range(blocks):
                            add_picked(words[i], wide, i * LANES, sums, i * LANES)
                    if causal:
                        copy_rows(sums, 0, 0, grad_gate, from_gate, 0, 1, width)
                        sums[:] = ZERO
                if not causal:
                    copy_rows(sums, 0, 0, grad_gate, t * width, 0, 1, width)
            fire_backward(
                lif[1],
                timesteps,
                size,
                (*numbers, slope),
                current,
                state,
                grad_gate,
                grad_current,
                grad_state,
                grad_parameters[sample * shares : (sample + 1) * shares],
                no_sums,
            )
            give(grad_state[2 * size : 3 * size], place, grad_initial_membrane)
            give(grad_state[3 * size : 4 * size], place, grad_initial_adaptation)

            for t in range(timesteps):
                sums[:] = ZERO
                if not causal:
                    copy_rows(grad_current, t * width, 0, sums, 0, 0, 1, width)
                for i in range(keys):
                    n = i
                    if causal:  # a match counts for its token and those after it: from the last
                        n = keys - 1 - i
                        for j in range(width):
                            sums[j] += grad_current[(t * gates + n) * width + j]
                    row = (sample * timesteps + t) * keys + n
                    here = row * features
                    read_words(key_bits, 8 * row * row_bytes, features, words, 0)
                    read_words(value_bits, 8 * row * row_bytes, features, others, 0)
                    if direct:
                        for c in range(blocks):
                            j = c * LANES
                            pick(others[c], sums, j, grad_key, here + j)
                            pick(words[c], sums, j, grad_value, here + j)
                            will_write(grad_key, here + j + AHEAD, LANES)
                            will_write(grad_value, here + j + AHEAD, LANES)
                    else:
                        write(others, sums, LANES, grad_key, here, features, wide)
                        write(words, sums, LANES, grad_value, here, features, wide)
        release(rows)
        release(both)

    return kernel
