"""The Numba kernels of "qk_token", each of which reads and writes every spike once.

A task is a block of tokens of one sample, walked through all its timesteps: tokens never meet.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from numba.extending import register_jitable

from spikeformer.ops.compiling import compiled
from spikeformer.ops.derivatives import ONE, ZERO
from spikeformer.ops.formats import FORMATS, U
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
    fill,
    fired,
    load_word,
    pick,
    popcount,
    read_words,
    store_word,
    sum_picked,
    will_read,
    will_write,
)

ALL = U(0xFFFFFFFF)


@register_jitable
def _head_words(words: Any, heads: int, channels: int, by_head: Any) -> None:
    """Words of the spikes of every head of a token, each from a word of its own."""
    blocks = blocks_of(channels)
    if channels % LANES == 0:
        for i in range(words.size):
            by_head[i] = words[i]
        return
    for h in range(heads):
        for i in range(blocks):
            first = h * channels + i * LANES
            shift, source = U(first % LANES), first // LANES
            word = words[source] >> shift
            if shift and source + 1 < words.size:
                word |= words[source + 1] << (U(LANES) - shift)
            rest = channels - i * LANES
            by_head[h * blocks + i] = word if rest >= LANES else word & ((U(1) << U(rest)) - U(1))


@register_jitable
def _count_heads(
    words: Any, heads: int, channels: int, by_head: Any, counts: Any, first: int
) -> None:
    """Number of spikes of every head of a token."""
    blocks = blocks_of(channels)
    _head_words(words, heads, channels, by_head)
    for h in range(heads):
        count = U(0)
        for i in range(h * blocks, (h + 1) * blocks):
            count += popcount(by_head[i])
        counts[first + h] = count


@register_jitable
def _count_whole_heads(
    query: Any, first: int, channels: int, bits: Any, byte: int, counts: Any
) -> None:
    """Number of spikes of every head of a token, whose channels are whole words, and their bits."""
    blocks = channels // LANES
    for h in range(counts.size):
        count = U(0)
        for i in range(h * blocks, (h + 1) * blocks):
            word = fired(query, first + i * LANES)
            will_read(query, first + i * LANES + AHEAD, LANES)
            if bits.size:
                store_word(word, bits, byte + 4 * i)
            count += popcount(word)
        counts[h] = count


@register_jitable
def _pass_whole_heads(
    key: Any,
    first: int,
    channels: int,
    bits: Any,
    byte: int,
    gates: Any,
    ones: Any,
    out: Any,
    to: int,
) -> None:
    """Write a token's spikes where the gate of their head is open, and all of them as bits."""
    blocks = channels // LANES
    for h in range(gates.size):
        opened = ALL if gates[h] != ZERO else U(0)
        for i in range(h * blocks, (h + 1) * blocks):
            word = fired(key, first + i * LANES)
            will_read(key, first + i * LANES + AHEAD, LANES)
            will_write(out, to + i * LANES + AHEAD, LANES)
            if bits.size:
                store_word(word, bits, byte + 4 * i)
            pick(opened & word, ones, 0, out, to + i * LANES)


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
def qk_token_kernel(dtype: torch.dtype) -> Kernel:
    """Compile "qk_token": the gate of a token's head counts the spikes of its query."""
    read, write, exact = word_reader(dtype), row_writer(dtype), dtype == torch.float32

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
        query_bits: Any,
        key_bits: Any,
        initial_membrane: Any,
        initial_adaptation: Any,
        out: Any,
        membrane: Any,
        adaptation: Any,
    ) -> None:
        timesteps, tokens, _, heads, channels, block = shape
        features = heads * channels
        row_bytes, num_blocks = (features + 7) // 8, (tokens + block - 1) // block
        blocks = blocks_of(features)
        heads_blocks = heads * blocks_of(channels)
        bits = allocate(np.uint32, 2 * blocks + heads_blocks)
        words, opened, by_head = bits[:blocks], bits[blocks : 2 * blocks], bits[2 * blocks :]
        most, row_width = block * heads, blocks * LANES
        rows = allocate(np.float32, LANES + row_width + (2 * timesteps + 4) * most)
        ones, wide, rest = rows[:LANES], rows[LANES : LANES + row_width], rows[LANES + row_width :]
        current, gate = rest[: timesteps * most], rest[timesteps * most : 2 * timesteps * most]
        state = rest[2 * timesteps * most :]
        ones[:] = ONE
        direct = exact and channels % LANES == 0
        for task in range(first, last):
            sample = task // num_blocks
            begin = (task - sample * num_blocks) * block
            end = min(tokens, begin + block)
            size = (end - begin) * heads
            for t in range(timesteps):
                for n in range(begin, end):
                    here = sample * query_strides[0] + t * query_strides[1] + n * query_strides[2]
                    byte = ((sample * timesteps + t) * tokens + n) * row_bytes
                    to = t * size + (n - begin) * heads
                    if direct:
                        _count_whole_heads(
                            query, here, channels, query_bits, byte, current[to : to + heads]
                        )
                        continue
                    read(query, here, features, words)
                    if query_bits.size:
                        write_bits(words, query_bits, byte, features)
                    _count_heads(words, heads, channels, by_head, current, to)
            place = ((sample * tokens + begin) * heads, 0, size, 1, size)
            take(initial_membrane, place, state[:size])
            take(initial_adaptation, place, state[size : 2 * size])
            fire(lif, timesteps, size, numbers, current, state, gate)
            give(state[2 * size : 3 * size], place, membrane)
            give(state[3 * size : 4 * size], place, adaptation)
            for t in range(timesteps):
                for n in range(begin, end):
                    here = sample * key_strides[0] + t * key_strides[1] + n * key_strides[2]
                    row = (sample * timesteps + t) * tokens + n
                    at = t * size + (n - begin) * heads
                    if direct:
                        gates = gate[at : at + heads]
                        _pass_whole_heads(
                            key,
                            here,
                            channels,
                            key_bits,
                            row * row_bytes,
                            gates,
                            ones,
                            out,
                            row * features,
                        )
                        continue
                    read(key, here, features, words)
                    if key_bits.size:
                        write_bits(words, key_bits, row * row_bytes, features)
                    _open(gate, at, features, channels, wide, opened)
                    for i in range(words.size):
                        opened[i] &= words[i]
                    write(opened, ones, 0, out, row * features, features, wide)
        release(rows)
        release(bits)

    return kernel


@cache
def qk_token_backward_kernel(dtype: torch.dtype) -> Kernel:
    """Compile the gradients of "qk_token"."""
    _, load, store = FORMATS[dtype]
    exact = dtype == torch.float32

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
        initial_membrane: Any,
        initial_adaptation: Any,
        grad_spikes: Any,
        grad_membrane: Any,
        grad_adaptation: Any,
        grad_query: Any,
        grad_key: Any,
        grad_initial_membrane: Any,
        grad_initial_adaptation: Any,
        grad_parameters: Any,
        no_sums: Any,
    ) -> None:
        timesteps, tokens, _, heads, channels, block = shape
        features, blocks = heads * channels, blocks_of(channels)
        row_bits, num_blocks = (features + 7) // 8 * 8, (tokens + block - 1) // block
        num_words, most = blocks_of(features), block * heads
        bits = allocate(np.uint32, num_words + heads * blocks)
        words, by_head = bits[:num_words], bits[num_words:]
        steps, row_width = timesteps * most, blocks * LANES
        rows = allocate(np.float32, row_width + 4 * steps + 8 * most)
        wide, rest = rows[:row_width], rows[row_width:]
        current, gate = rest[:steps], rest[steps : 2 * steps]
        grad_gate, grad_current = rest[2 * steps : 3 * steps], rest[3 * steps : 4 * steps]
        state = rest[4 * steps : 4 * steps + 4 * most]
        grad_state = rest[4 * steps + 4 * most :]
        direct = exact and channels == blocks * LANES
        for task in range(first, last):
            sample = task // num_blocks
            begin = (task - sample * num_blocks) * block
            end = min(tokens, begin + block)
            size = (end - begin) * heads
            for t in range(timesteps):
                for n in range(begin, end):
                    row = (sample * timesteps + t) * tokens + n
                    to = t * size + (n - begin) * heads
                    if direct:
                        for h in range(heads):
                            count, byte = U(0), (row * features + h * channels) // 8
                            for i in range(blocks):
                                count += popcount(load_word(query_bits, byte + 4 * i))
                            current[to + h] = count
                        continue
                    read_words(query_bits, row * row_bits, features, words, 0)
                    _count_heads(words, heads, channels, by_head, current, to)
            place = ((sample * tokens + begin) * heads, 0, size, 1, size)
            take(initial_membrane, place, state[:size])
            take(initial_adaptation, place, state[size : 2 * size])
            take(grad_membrane, place, grad_state[:size])
            take(grad_adaptation, place, grad_state[size : 2 * size])
            fire(lif[0], timesteps, size, numbers, current, state, gate)

            for t in range(timesteps):
                for n in range(begin, end):
                    row = (sample * timesteps + t) * tokens + n
                    if not direct:
                        read_words(key_bits, row * row_bits, features, words, 0)
                        _head_words(words, heads, channels, by_head)
                    for h in range(heads):
                        of_gate = t * size + (n - begin) * heads + h
                        here, total = row * features + h * channels, ZERO
                        if direct:
                            opened = ALL if gate[of_gate] != ZERO else U(0)
                            for j in range(here, here + channels, LANES):
                                total += sum_picked(load_word(key_bits, j // 8), grad_spikes, j)
                                pick(opened, grad_spikes, j, grad_key, j)
                                will_read(grad_spikes, j + AHEAD, LANES)
                                will_write(grad_key, j + AHEAD, LANES)
                        else:
                            for j in range(channels):
                                wide[j] = load(grad_spikes[here + j])
                                grad_key[here + j] = store(gate[of_gate] * wide[j])
                            for i in range(blocks):
                                total += sum_picked(by_head[h * blocks + i], wide, i * LANES)
                        grad_gate[of_gate] = total
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
                grad_parameters[task * lif_blocks(most) : (task + 1) * lif_blocks(most)],
                no_sums,
            )
            give(grad_state[2 * size : 3 * size], place, grad_initial_membrane)
            give(grad_state[3 * size : 4 * size], place, grad_initial_adaptation)

            for t in range(timesteps):
                start = ((sample * timesteps + t) * tokens + begin) * features
                for n in range(size):
                    number, here = grad_current[t * size + n], start + n * channels
                    if direct:
                        for i in range(blocks):
                            fill(number, grad_query, here + i * LANES)
                            will_write(grad_query, here + i * LANES + AHEAD, LANES)
                    else:
                        for j in range(channels):
                            grad_query[here + j] = store(number)
        release(rows)
        release(bits)

    return kernel
