"""Batch norm's share of `norm_lif` with Triton: its sums over the batch, the end of its gradient.

Everything between is done by the kernels of `lif` while they read the current.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from spikeformer.ops.triton_shared import autotune

BLOCK = 128
_CONFIGS = [triton.Config({}, num_warps=num_warps) for num_warps in (4, 2)]

# Sums are kept by every program, so a program takes several samples where a GPU is full without.
_MAX_FEATURES_AT_ONCE = 1 << 20


@autotune(_CONFIGS, key=("features",))
@triton.jit
def _sums_kernel(
    current: tl.tensor,
    current_strides: tl.tuple,
    around: tl.tensor,
    sums: tl.tensor,
    batch: tl.tensor,
    timesteps: tl.tensor,
    features: tl.tensor,
    group_size: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    num_blocks = tl.cdiv(features, BLOCK)
    group = tl.program_id(0) // num_blocks
    column = tl.program_id(0) % num_blocks * BLOCK + tl.arange(0, BLOCK)
    mask = column < features
    center = tl.load(around + column, mask=mask, other=0.0)
    distance = tl.zeros((BLOCK,), tl.float32)
    square = tl.zeros((BLOCK,), tl.float32)
    for member in range(group * group_size, min(batch, (group + 1) * group_size)):
        # 64 bits for offsets into large tensors.
        rows = current + tl.cast(member, tl.int64) * current_strides[0] + column
        for t in range(timesteps):
            x = tl.load(rows + tl.cast(t, tl.int64) * current_strides[1], mask=mask, other=0.0)
            centred = x.to(tl.float32) - center
            distance += centred
            square += centred * centred
    row = sums + group * 2 * features + column
    tl.store(row, distance, mask=mask)
    tl.store(row + features, square, mask=mask)


# Tuning runs a kernel several times, and this one overwrites what it reads.
@autotune(_CONFIGS, key=("features",), restore_value=["grad"])
@triton.jit
def _finish_kernel(
    grad: tl.tensor,
    grad_strides: tl.tuple,
    current: tl.tensor,
    current_strides: tl.tuple,
    affine: tl.tuple,
    timesteps: tl.tensor,
    features: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    num_blocks = tl.cdiv(features, BLOCK)
    sample = tl.cast(tl.program_id(0) // num_blocks, tl.int64)
    column = tl.program_id(0) % num_blocks * BLOCK + tl.arange(0, BLOCK)
    mask = column < features
    center = tl.load(affine[0] + column, mask=mask, other=0.0)
    scale = tl.load(affine[1] + column, mask=mask, other=0.0)
    shift = tl.load(affine[2] + column, mask=mask, other=0.0)
    tilt = tl.load(affine[3] + column, mask=mask, other=0.0)
    for t in range(timesteps):
        here = sample * grad_strides[0] + tl.cast(t, tl.int64) * grad_strides[1] + column
        g = tl.load(grad + here, mask=mask, other=0.0).to(tl.float32)
        there = sample * current_strides[0] + tl.cast(t, tl.int64) * current_strides[1] + column
        x = tl.load(current + there, mask=mask, other=0.0).to(tl.float32)
        tl.store(grad + here, scale * (g - shift - (x - center) * tilt), mask=mask)


def sums_around(current: Tensor, around: Tensor) -> Tensor:
    """Sums over batch and time of `current - around` and of its square: (b, t, f) to (2, f)."""
    batch, timesteps, features = current.shape
    group_size = max(1, batch * features // _MAX_FEATURES_AT_ONCE)
    num_groups = triton.cdiv(batch, group_size)
    sums = around.new_empty(num_groups, 2, features)
    with torch.cuda.device_of(current):  # type: ignore[no-untyped-call]
        _sums_kernel[(num_groups * triton.cdiv(features, BLOCK),)](
            current,
            current.stride()[:2],
            around,
            sums,
            batch,
            timesteps,
            features,
            group_size,
            BLOCK=BLOCK,
        )
    return sums.sum(0)


def finish_gradient(
    grad: Tensor, current: Tensor, center: Tensor, scale: Tensor, shift: Tensor, tilt: Tensor
) -> None:
    """Overwrite `grad` with `scale (grad - shift - (current - center) tilt)`, both (b, t, f)."""
    batch, timesteps, features = grad.shape
    with torch.cuda.device_of(current):  # type: ignore[no-untyped-call]
        _finish_kernel[(batch * triton.cdiv(features, BLOCK),)](
            grad,
            grad.stride()[:2],
            current,
            current.stride()[:2],
            (center, scale, shift, tilt),
            timesteps,
            features,
            BLOCK=BLOCK,
        )
