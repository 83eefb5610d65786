"""Spike codes on GPUs with Triton, in one pass over the spikes.

A program encodes one block of features of one sample. "delta" walks through all timesteps, which
depend on each other; the other codes take four timesteps a program, what one call of Philox serves.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from spikeformer.ops.layout import as_rows
from spikeformer.ops.memory import empty_like
from spikeformer.ops.triton_shared import autotune

# Adding and subtracting 1.5 * 2^23 rounds a small float32 to an integer, halves to even.
_ROUNDER = tl.constexpr(12582912.0)

_CONFIGS = [
    triton.Config({"block": block}, num_warps=warps)
    for block, warps in ((512, 4), (1024, 4), (256, 2))
]


@autotune(_CONFIGS, key=["features", "code"])
@triton.jit
def _encode_kernel(
    x: tl.tensor,
    spikes: tl.tensor,
    key: tl.tensor,
    parameter: tl.tensor,
    timesteps: tl.tensor,
    features: tl.tensor,
    batch_stride: tl.tensor,
    time_stride: tl.tensor,
    quads_per_program: tl.tensor,
    code: tl.constexpr,
    block: tl.constexpr,
) -> None:
    num_blocks = tl.cdiv(features, block)
    sample = tl.program_id(0) // num_blocks
    feature = tl.program_id(0) % num_blocks * block + tl.arange(0, block)
    x += sample.to(tl.int64) * batch_stride + feature
    spikes += sample.to(tl.int64) * timesteps * features + feature
    tracker = tl.zeros((block,), tl.float32)
    first_quad = tl.program_id(1) * quads_per_program
    for quad in range(first_quad, first_quad + quads_per_program):
        if code == "poisson":
            stream = tl.load(key + 1).to(tl.uint32)
            words = tl.philox(tl.load(key), feature, quad, sample, stream)
        for k in tl.static_range(4):
            t = 4 * quad + k
            mask = (feature < features) & (t < timesteps)
            v = tl.load(x + t.to(tl.int64) * time_stride, mask, other=0.0).to(tl.float32)
            if code == "rate":
                s = tl.floor(v * (t + 1) + 0.5) - tl.floor(v * t + 0.5)
            elif code == "latency":
                step = ((1.0 - v) * (timesteps - 1) + _ROUNDER) - _ROUNDER
                s = ((step == t) & (v > 0.0)).to(tl.float32)
            elif code == "delta":
                lag = v - tracker
                s = (lag >= parameter).to(tl.float32) - (lag <= -parameter).to(tl.float32)
                tracker += parameter * s
            else:
                uniform = (words[k] >> 8).to(tl.float32) * 5.9604644775390625e-8  # 2^-24
                s = (uniform < v * parameter).to(tl.float32)
            tl.store(spikes + t.to(tl.int64) * features, s.to(spikes.dtype.element_ty), mask)


def forward(
    x_btf: Tensor, timesteps: int, code: str, parameter: float, key: Tensor | None
) -> Tensor:
    """Spikes (b, t, f) of values (b, t, f) or, held for all timesteps, (b, 1, f)."""
    x_btf = as_rows(x_btf.expand(-1, timesteps, -1))
    batch, _, features = x_btf.shape
    spikes = empty_like(x_btf, (batch, timesteps, features))
    if spikes.numel() == 0:
        return spikes
    quads = triton.cdiv(timesteps, 4)
    quads_per_program = quads if code == "delta" else 1

    def grid(meta: dict[str, Any]) -> tuple[int, int]:
        return batch * triton.cdiv(features, meta["block"]), quads // quads_per_program

    _encode_kernel[grid](
        x_btf,
        spikes,
        key,
        parameter,
        timesteps,
        features,
        *x_btf.stride()[:2],
        quads_per_program,
        code=code,
        # Fused products and sums would round otherwise than the reference's.
        enable_fp_fusion=False,
    )
    return spikes
