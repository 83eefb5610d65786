"""The linear map of spikes on CPUs with Numba: adds up the weights of the inputs that fired.

A row of spikes becomes the list of its active inputs, whose rows of the transposed weight are then
added four at a time to the row's sums, which stay in L1 cache. A task is one row, so no result
depends on the number of threads; sums are float32 for every dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeformer.ops.compiling import compiled
from spikeformer.ops.dense import linear
from spikeformer.ops.formats import FORMATS
from spikeformer.ops.memory import empty_like
from spikeformer.ops.scratch import allocate, release
from spikeformer.ops.spike_pack.cpu import as_integers
from spikeformer.ops.threads import run_tasks

# What one dense multiply-add costs relative to float32 in MKL, rounded down. Measured on a core
# of an AMD EPYC 9005 with torch 2.13, in GFLOP/s: 97 in MKL and 200 in oneDNN, which `linear`
# takes, in float32; 430 in bfloat16 and 20 in float16.
_DENSE_COST = {torch.float32: 0.5, torch.bfloat16: 0.2, torch.float16: 4.0}


def sparse_wins(rows: int, inputs: int, outputs: int, spikes: int, dtype: torch.dtype) -> bool:
    """Whether adding up weights is faster than multiplying matrices, by the number of spikes.

    Costs are in dense float32 multiply-adds: twice those fitted on one core of the machine above to
    shapes of 8 to 6272 rows, 64 to 1536 inputs and 10 to 2048 outputs at firing rates of 0 to 30 %.
    On its two cores, between dense products whose threads spin on for a while after they are done,
    sparse ones take up to that much longer. Large layers are sparse up to a rate of about 12 % in
    float32 and 2 % in bfloat16.
    """
    adding = 4 * spikes * outputs
    reading, writing, transposing = 40 * rows * inputs, 12 * rows * outputs, 30 * inputs * outputs
    calling = 4e6
    dense = _DENSE_COST[dtype] * rows * inputs * outputs
    return adding + reading + writing + transposing + calling < dense


def forward(spikes: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Outputs, (rows, outputs), of spikes (rows, inputs) and weight (outputs, inputs)."""
    spikes = spikes.contiguous()
    outputs, inputs = weight.shape
    shape, dtype = (spikes.shape[0], inputs, outputs), spikes.dtype
    # Counting takes a pass over the spikes, so first ask whether no spikes at all would do.
    if sparse_wins(*shape, 0, dtype) and sparse_wins(*shape, _count(spikes), dtype):
        return add_weights(spikes, weight, bias)
    return linear(spikes, weight, bias)


def add_weights(spikes: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What `forward` does if it is sparse."""
    outputs = weight.shape[0]
    out = empty_like(spikes, (spikes.shape[0], outputs))
    elements, magnitude = as_integers(spikes)
    kernel = _add_kernel(spikes.dtype)
    arguments = (
        magnitude,
        elements,
        weight.detach().t().float().contiguous().numpy(),
        np.zeros(outputs, np.float32) if bias is None else bias.detach().float().numpy(),
        out.view(FORMATS[out.dtype].memory).numpy(),
    )
    run_tasks(kernel, arguments, spikes.shape[0], out.numel() + spikes.numel())
    return out


@cache
def _add_kernel(dtype: torch.dtype) -> Callable[..., None]:
    store = FORMATS[dtype].store

    @compiled(error_model="numpy")
    def kernel(
        first: int,
        last: int,
        magnitude: Any,
        spikes: Any,
        weight: Any,
        bias: Any,
        out: Any,
    ) -> None:
        active = allocate(np.int64, spikes.shape[1])
        sums = allocate(np.float32, out.shape[1])
        for r in range(first, last):
            # Without a branch, which would be mispredicted at every spike.
            row, count = spikes[r], 0
            for i in range(row.size):
                active[count] = i
                count += (row[i] & magnitude) != 0
            for j in range(sums.size):
                sums[j] = bias[j]
            whole = count // 4 * 4
            for k in range(0, whole, 4):
                a, b = weight[active[k]], weight[active[k + 1]]
                c, d = weight[active[k + 2]], weight[active[k + 3]]
                for j in range(sums.size):
                    sums[j] += (a[j] + b[j]) + (c[j] + d[j])
            for k in range(whole, count):
                a = weight[active[k]]
                for j in range(sums.size):
                    sums[j] += a[j]
            line = out[r]
            for j in range(sums.size):
                line[j] = store(sums[j])
        release(sums)
        release(active)

    return kernel


def _count(spikes: Tensor) -> int:
    elements, magnitude = as_integers(spikes)
    counts = np.empty(spikes.shape[0], np.uint32)
    run_tasks(
        _count_kernel,
        (magnitude, elements, counts),
        counts.size,
        spikes.numel(),
    )
    return int(counts.sum())


@compiled(error_model="numpy")
def _count_kernel(first: int, last: int, magnitude: Any, spikes: Any, counts: Any) -> None:
    for r in range(first, last):
        row, count = spikes[r], np.uint32(0)
        for i in range(row.size):
            count += np.uint32((row[i] & magnitude) != 0)
        counts[r] = count
