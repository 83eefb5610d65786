"""Counts by the definition, one product at a time, for the tests of the counter."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor, nn


def conv_products(x: Tensor, layer: nn.Conv2d) -> tuple[list[int], int]:
    """Return products with a value that is not zero (by row of the batch), and all of them."""
    (kh, kw), (sh, sw) = layer.kernel_size, layer.stride
    (ph, pw), (dh, dw) = layer.padding, layer.dilation
    out = layer(x)
    per_group = layer.in_channels // layer.groups
    outputs_per_group = layer.out_channels // layer.groups
    effective, dense = [0] * x.shape[0], 0
    for row, o, i, j in product(*map(range, out.shape)):
        first = o // outputs_per_group * per_group
        for channel, a, b in product(range(per_group), range(kh), range(kw)):
            y, z = i * sh + a * dh - ph, j * sw + b * dw - pw
            if 0 <= y < x.shape[2] and 0 <= z < x.shape[3]:
                dense += 1
                effective[row] += int(x[row, first + channel, y, z] != 0)
    return effective, dense


def matmul_products(a: Tensor, b: Tensor) -> tuple[int, int]:
    """Return products of a (rows, inner) and b (inner, columns) without a zero, and all."""
    effective = sum(
        int(a[i, k] != 0 and b[k, j] != 0)
        for i, k, j in product(range(a.shape[0]), range(a.shape[1]), range(b.shape[1]))
    )
    return effective, a.shape[0] * a.shape[1] * b.shape[1]


def attention_additions(
    query: Tensor, key: Tensor, value: Tensor | None, mechanism: str, causal: bool
) -> int:
    """Return the additions that spikes cause in one head at one time; all (tokens, channels)."""
    tokens, channels = query.shape
    if mechanism == "qk_token":
        return sum(int(query[n, d]) for n in range(tokens) for d in range(channels))
    assert value is not None
    keys = key.shape[0]
    if mechanism == "sdsa":
        return sum(int(key[n, d] * value[n, d]) for n in range(keys) for d in range(channels))
    additions = 0
    if not causal and channels * (tokens + keys) < 2 * tokens * keys:  # q (k^T v)
        for n, d, e in product(range(keys), range(channels), range(channels)):
            additions += int(key[n, d] * value[n, e])
        for n, d, _ in product(range(tokens), range(channels), range(channels)):
            additions += int(query[n, d])
        return additions
    for n, m, d in product(range(tokens), range(keys), range(channels)):  # (q k^T) v
        if not causal or m <= n:
            additions += int(query[n, d] * key[m, d]) + int(value[m, d])
    return additions


def spikes_like(*shape: int, rate: float = 0.3) -> Tensor:
    """Return random spikes."""
    return (torch.rand(*shape) < rate).float()
