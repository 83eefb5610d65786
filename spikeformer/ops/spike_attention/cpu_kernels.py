"""The Numba kernels of `cpu.py`.

Kernels see tokens as rows of features, the channels of all heads, (b, t, n, f) with f contiguous.
What backward keeps of a token is its spikes in bits, padded to full bytes. A task is one
timestep of one sample; (b, t) is one axis of the arrays that only these kernels see.
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
from spikeformer.ops.vectors import LANES, fired

Kernel = Callable[..., None]

_Strides = tuple[int, int, int]


@cache
def _packing(dtype: torch.dtype) -> Kernel:
    load = FORMATS[dtype].load

    @register_jitable
    def pack(row: Any, bits: Any) -> None:
        """Write the spikes of `row` to `bits`; nothing if there is no room, for nothing is kept."""
        if bits.size == 0:
            return
        whole = row.size // LANES
        for i in range(whole):
            word = fired(row, i * LANES)
            for byte in range(4):
                bits[4 * i + byte] = word >> U(8 * byte)
        bits[4 * whole :] = 0
        for j in range(whole * LANES, row.size):
            bits[j >> 3] |= np.uint8((load(row[j]) != ZERO) << (j & 7))

    return pack


@register_jitable
def _unpack(bits: Any, row: Any) -> None:
    """Fill `row` with spikes 0 or 1; unsigned indices let the loop vectorise."""
    for j in range(row.size):
        i = np.uint64(j)
        row[i] = np.float32((U(bits[i >> np.uint64(3)]) >> U(i & np.uint64(7))) & U(1))


@cache
def pack_kernel(dtype: torch.dtype) -> Kernel:
    """Compile the packing of spikes into bits."""
    pack = _packing(dtype)

    @compiled(error_model="numpy")
    def kernel(
        first: int, last: int, shape: _Strides, spikes: Any, strides: _Strides, bits: Any
    ) -> None:
        timesteps, tokens, features = shape
        for task in range(first, last):
            sample = task // timesteps
            start = sample * strides[0] + (task - sample * timesteps) * strides[1]
            for n in range(tokens):
                here = start + n * strides[2]
                pack(spikes[here : here + features], bits[task, n])

    return kernel


@cache
def channels_kernel(dtype: torch.dtype) -> Kernel:
    """Compile the count of a head's spikes, which "qk_token" integrates."""
    _, load, _ = FORMATS[dtype]
    pack = _packing(dtype)

    # Sums vectorise if they may be taken in another order; sums of spikes are exact in any.
    @compiled(error_model="numpy", fastmath={"reassoc", "nsz"})
    def kernel(
        first: int,
        last: int,
        shape: _Strides,
        query: Any,
        strides: _Strides,
        query_bits: Any,
        current: Any,
    ) -> None:
        timesteps, tokens, features = shape
        heads = current.shape[2]
        channels = features // heads
        for task in range(first, last):
            sample = task // timesteps
            start = sample * strides[0] + (task - sample * timesteps) * strides[1]
            for n in range(tokens):
                here = start + n * strides[2]
                q = query[here : here + features]
                for h in range(heads):
                    head = q[h * channels : (h + 1) * channels]
                    count = ZERO
                    for j in range(channels):
                        count += load(head[j])
                    current[task, n, h] = count
                pack(q, query_bits[task, n])

    return kernel


@cache
def matches_kernel(dtype: torch.dtype, causal: bool) -> Kernel:
    """Compile the count of tokens at which key and value fire together, for "sdsa"."""
    _, load, _ = FORMATS[dtype]
    pack = _packing(dtype)

    @compiled(error_model="numpy")
    def kernel(
        first: int,
        last: int,
        shape: _Strides,
        key: Any,
        key_strides: _Strides,
        key_bits: Any,
        value: Any,
        value_strides: _Strides,
        value_bits: Any,
        current: Any,
    ) -> None:
        timesteps, tokens, features = shape
        count = np.empty(features, np.float32)
        for task in range(first, last):
            sample = task // timesteps
            t = task - sample * timesteps
            key_start = sample * key_strides[0] + t * key_strides[1]
            value_start = sample * value_strides[0] + t * value_strides[1]
            count[:] = ZERO
            for n in range(tokens):
                here = key_start + n * key_strides[2]
                k = key[here : here + features]
                here = value_start + n * value_strides[2]
                v = value[here : here + features]
                for j in range(features):
                    count[j] += load(k[j]) * load(v[j])
                if causal:
                    current[task, n] = count
            if not causal:
                current[task, 0] = count
            for n in range(tokens):
                here = key_start + n * key_strides[2]
                pack(key[here : here + features], key_bits[task, n])
            for n in range(tokens):
                here = value_start + n * value_strides[2]
                pack(value[here : here + features], value_bits[task, n])

    return kernel


@cache
def gate_kernel(dtype: torch.dtype, per_head: bool) -> Kernel:
    """Compile the product of spikes with a gate: one for each head, or one for each channel."""
    _, load, store = FORMATS[dtype]
    pack = _packing(dtype)

    @compiled(error_model="numpy")
    def kernel(
        first: int,
        last: int,
        shape: _Strides,
        spikes: Any,
        strides: _Strides,
        bits: Any,
        gate: Any,
        out: Any,
    ) -> None:
        timesteps, tokens, features = shape
        channels = features // gate.shape[2]
        wide = np.empty(features, np.float32)
        for task in range(first, last):
            sample = task // timesteps
            start = sample * strides[0] + (task - sample * timesteps) * strides[1]
            for n in range(tokens):
                here = start + n * strides[2]
                x, y = spikes[here : here + features], out[task, n]
                g = gate[task, min(n, gate.shape[1] - 1)]
                if per_head:
                    for h in range(g.size):
                        wide[h * channels : (h + 1) * channels] = g[h]
                    g = wide
                for j in range(features):
                    y[j] = store(g[j] * load(x[j]))
                pack(x, bits[task, n])

    return kernel


@cache
def channels_backward_kernel(dtype: torch.dtype) -> Kernel:
    """Compile the sums over channels of "qk_token" backward: the count and the gate's gradient."""
    _, load, _ = FORMATS[dtype]

    # Sums vectorise if they may be taken in another order, the same for any number of threads.
    @compiled(error_model="numpy", fastmath={"reassoc", "nsz"})
    def kernel(
        first: int,
        last: int,
        query_bits: Any,
        key_bits: Any,
        grad_spikes: Any,
        current: Any,
        grad_gate: Any,
    ) -> None:
        tokens, features = grad_spikes.shape[1:]
        channels = features // current.shape[2]
        q, k = np.empty(features, np.float32), np.empty(features, np.float32)
        for task in range(first, last):
            for n in range(tokens):
                _unpack(query_bits[task, n], q)
                _unpack(key_bits[task, n], k)
                for h in range(current.shape[2]):
                    q_h = q[h * channels : (h + 1) * channels]
                    k_h = k[h * channels : (h + 1) * channels]
                    g_h = grad_spikes[task, n, h * channels : (h + 1) * channels]
                    count, grad = ZERO, ZERO
                    for j in range(channels):
                        count += q_h[j]
                        grad += load(g_h[j]) * k_h[j]
                    current[task, n, h] = count
                    grad_gate[task, n, h] = grad

    return kernel


@cache
def matches_backward_kernel(dtype: torch.dtype, causal: bool) -> Kernel:
    """Compile the sums over tokens of "sdsa" backward: the count and the gate's gradient."""
    _, load, _ = FORMATS[dtype]

    @compiled(error_model="numpy")
    def kernel(
        first: int,
        last: int,
        query_bits: Any,
        key_bits: Any,
        value_bits: Any,
        grad_spikes: Any,
        current: Any,
        grad_gate: Any,
    ) -> None:
        features = current.shape[2]
        one, other = np.empty(features, np.float32), np.empty(features, np.float32)
        count, grad = np.empty(features, np.float32), np.empty(features, np.float32)
        for task in range(first, last):
            count[:] = ZERO
            for n in range(key_bits.shape[1]):
                _unpack(key_bits[task, n], one)
                _unpack(value_bits[task, n], other)
                for j in range(features):
                    count[j] += one[j] * other[j]
                if causal:
                    current[task, n] = count
            if not causal:
                current[task, 0] = count
            grad[:] = ZERO
            for n in range(query_bits.shape[1]):
                _unpack(query_bits[task, n], one)
                g = grad_spikes[task, n]
                for j in range(features):
                    grad[j] += load(g[j]) * one[j]
                if causal:  # each token has a gate of its own
                    grad_gate[task, n] = grad
                    grad[:] = ZERO
            if not causal:
                grad_gate[task, 0] = grad

    return kernel


@cache
def key_value_backward_kernel(dtype: torch.dtype, causal: bool) -> Kernel:
    """Compile the gradients of key and value in "sdsa" from that of their count."""
    _, _, store = FORMATS[dtype]

    @compiled(error_model="numpy")
    def kernel(
        first: int,
        last: int,
        key_bits: Any,
        value_bits: Any,
        grad_current: Any,
        grad_key: Any,
        grad_value: Any,
    ) -> None:
        features = grad_current.shape[2]
        k, v = np.empty(features, np.float32), np.empty(features, np.float32)
        grad = np.empty(features, np.float32)
        for task in range(first, last):
            grad[:] = ZERO if causal else grad_current[task, 0]
            for n in range(key_bits.shape[1] - 1, -1, -1):
                if causal:  # a match counts for its token and those after it
                    for j in range(features):
                        grad[j] += grad_current[task, n, j]
                _unpack(key_bits[task, n], k)
                _unpack(value_bits[task, n], v)
                grad_k, grad_v = grad_key[task, n], grad_value[task, n]
                for j in range(features):
                    grad_k[j] = store(grad[j] * v[j])
                    grad_v[j] = store(grad[j] * k[j])

    return kernel
