"""The Triton kernels of `triton.py`.

Kernels see (b, t, f) tensors as a pointer with a batch and a time stride, features contiguous, and
states as (b, f). What is absent is None, which Triton knows at compile time. Arithmetic is in
float32. Annotations are compiled too: Triton accepts its own types alone.

With `affine`, neurons integrate `(current - center) * scale + offset` with one number of each for
every feature.
"""

from __future__ import annotations

import triton
import triton.language as tl

from spikeformer.ops.triton_shared import autotune, step, step_backward

BLOCK = 128
# One or two features a thread, with 32 threads a warp.
_CONFIGS = [triton.Config({}, num_warps=num_warps) for num_warps in (4, 2)]
_KEY = ("features", "CHUNK")


@triton.jit
def load_row(row: tl.tensor, index: tl.tensor, mask: tl.tensor) -> tl.tensor:
    """Numbers of a row, zeros if there is none."""
    numbers = tl.zeros(index.shape, tl.float32)
    if row is not None:
        numbers = tl.load(row + index, mask=mask, other=0.0)
    return numbers


@triton.jit
def _load_chunk(
    rows: tl.tensor,
    stride: tl.tensor,
    first: tl.tensor,
    timesteps: tl.tensor,
    mask: tl.tensor,
    CHUNK: tl.constexpr,
) -> tl.tuple:
    """The rows of CHUNK timesteps in float32, zeros past the last; all loads in flight together."""
    chunk: tl.tuple = ()
    for k in tl.static_range(CHUNK):
        live = mask & (first + k < timesteps)
        row = tl.load(rows + (first + k) * stride, mask=live, other=0.0)
        chunk += (row.to(tl.float32),)
    return chunk


@triton.jit
def _load_affine(affine: tl.tuple, index: tl.tensor, mask: tl.tensor) -> tl.tuple:
    center, scale, offset = affine
    return (
        tl.load(center + index, mask=mask, other=0.0),
        tl.load(scale + index, mask=mask, other=0.0),
        tl.load(offset + index, mask=mask, other=0.0),
    )


@triton.jit
def _apply(affine: tl.tuple, current: tl.tensor) -> tl.tensor:
    if affine is not None:
        center, scale, offset = affine
        current = (current - center) * scale + offset
    return current


@triton.jit
def load_parameters(parameters: tl.tensor, numbers: tl.tuple) -> tl.tuple:
    """Decay, threshold, adaptation decay and strength: from memory, or else the numbers."""
    if parameters is not None:
        numbers = (
            tl.load(parameters),
            tl.load(parameters + 1),
            tl.load(parameters + 2),
            tl.load(parameters + 3),
        )
    return numbers


@autotune(_CONFIGS, key=_KEY)
@triton.jit
def forward_kernel(
    current: tl.tensor,
    affine: tl.tuple,
    initial_membrane: tl.tensor,
    initial_adaptation: tl.tensor,
    parameters: tl.tensor,
    numbers: tl.tuple,
    most: tl.tensor,
    spikes: tl.tensor,
    final_membrane: tl.tensor,
    final_adaptation: tl.tensor,
    timesteps: tl.tensor,
    features: tl.tensor,
    current_strides: tl.tuple,
    spikes_strides: tl.tuple,
    TO_ZERO: tl.constexpr,
    COUNTS: tl.constexpr,
    CHUNK: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Walk through time, writing spikes and the final state."""
    ADAPTIVE: tl.constexpr = initial_adaptation is not None
    num_blocks = tl.cdiv(features, BLOCK)
    # Products with 64-bit numbers are 64 bits wide, as offsets into large tensors must be.
    sample = tl.cast(tl.program_id(0) // num_blocks, tl.int64)
    column = tl.program_id(0) % num_blocks * BLOCK + tl.arange(0, BLOCK)
    mask = column < features
    decay, threshold, adaptation_decay, strength = load_parameters(parameters, numbers)
    if affine is not None:
        affine = _load_affine(affine, column, mask)

    current += sample * current_strides[0] + column
    spikes += sample * spikes_strides[0] + column
    current_stride = tl.cast(current_strides[1], tl.int64)
    spikes_stride = tl.cast(spikes_strides[1], tl.int64)

    state = sample * features + column
    v = load_row(initial_membrane, state, mask)
    a = load_row(initial_adaptation, state, mask)
    for first in range(0, timesteps, CHUNK):
        xs = _load_chunk(current, current_stride, first, timesteps, mask, CHUNK)
        for k in tl.static_range(CHUNK):
            if first + k < timesteps:
                i = _apply(affine, xs[k])
                _, fired, v, a = step(
                    i,
                    v,
                    a,
                    decay,
                    threshold,
                    adaptation_decay,
                    strength,
                    TO_ZERO,
                    ADAPTIVE,
                    most,
                    COUNTS,
                )
                if COUNTS:
                    fired = tl.div_rn(fired, most)
                tl.store(spikes + (first + k) * spikes_stride, fired, mask=mask)
    tl.store(final_membrane + state, v, mask=mask)
    if ADAPTIVE:
        tl.store(final_adaptation + state, a, mask=mask)


@autotune(_CONFIGS, key=_KEY)
@triton.jit
def backward_kernel(
    current: tl.tensor,
    affine: tl.tuple,
    initial_membrane: tl.tensor,
    initial_adaptation: tl.tensor,
    parameters: tl.tensor,
    numbers: tl.tuple,
    most: tl.tensor,
    slope: tl.tensor,
    grad_spikes: tl.tensor,
    grad_membrane: tl.tensor,
    grad_adaptation: tl.tensor,
    grad_current: tl.tensor,
    grad_initial_membrane: tl.tensor,
    grad_initial_adaptation: tl.tensor,
    states: tl.tensor,
    parameter_sums: tl.tensor,
    affine_sums: tl.tensor,
    batch: tl.tensor,
    timesteps: tl.tensor,
    features: tl.tensor,
    group_size: tl.tensor,
    current_strides: tl.tuple,
    grad_spikes_strides: tl.tuple,
    grad_current_strides: tl.tuple,
    SURROGATE: tl.constexpr,
    TO_ZERO: tl.constexpr,
    DETACH_RESET: tl.constexpr,
    WITH_PARAMETERS: tl.constexpr,
    COUNTS: tl.constexpr,
    CHUNK: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Walk through time and back, writing gradients.

    `states` takes the state at the start of every chunk but the last, (chunks - 1, 1 or 2, b, f).
    """
    ADAPTIVE: tl.constexpr = initial_adaptation is not None
    num_blocks = tl.cdiv(features, BLOCK)
    group = tl.program_id(0) // num_blocks
    column = tl.program_id(0) % num_blocks * BLOCK + tl.arange(0, BLOCK)
    mask = column < features
    decay, threshold, adaptation_decay, strength = load_parameters(parameters, numbers)
    if affine is not None:
        affine = _load_affine(affine, column, mask)

    sum_decay = tl.zeros((BLOCK,), tl.float32)
    sum_threshold = tl.zeros((BLOCK,), tl.float32)
    sum_adaptation_decay = tl.zeros((BLOCK,), tl.float32)
    sum_strength = tl.zeros((BLOCK,), tl.float32)
    sum_offset = tl.zeros((BLOCK,), tl.float32)
    sum_scale = tl.zeros((BLOCK,), tl.float32)

    # 64 bits for offsets into large tensors.
    current_stride = tl.cast(current_strides[1], tl.int64)
    grad_spikes_stride = tl.cast(grad_spikes_strides[1], tl.int64)
    grad_current_stride = tl.cast(grad_current_strides[1], tl.int64)
    population = tl.cast(batch, tl.int64) * features
    start_stride = population * (2 if ADAPTIVE else 1)
    last = (timesteps - 1) // CHUNK * CHUNK
    for member in range(group * group_size, min(batch, (group + 1) * group_size)):
        sample = tl.cast(member, tl.int64)
        x_rows = current + sample * current_strides[0] + column
        ds_rows = grad_spikes + sample * grad_spikes_strides[0] + column
        dx_rows = grad_current + sample * grad_current_strides[0] + column
        state = sample * features + column

        # Forward to the last chunk, leaving the state at the start of the others.
        v = load_row(initial_membrane, state, mask)
        a = load_row(initial_adaptation, state, mask)
        start = states + state
        for first in range(0, last, CHUNK):
            tl.store(start, v, mask=mask)
            if ADAPTIVE:
                tl.store(start + population, a, mask=mask)
            start += start_stride
            xs = _load_chunk(x_rows, current_stride, first, timesteps, mask, CHUNK)
            for k in tl.static_range(CHUNK):
                i = _apply(affine, xs[k])
                _, _, v, a = step(
                    i,
                    v,
                    a,
                    decay,
                    threshold,
                    adaptation_decay,
                    strength,
                    TO_ZERO,
                    ADAPTIVE,
                    most,
                    COUNTS,
                )
        # Nothing promises that the thread that stores a number is the one that loads it.
        tl.debug_barrier()

        dv = load_row(grad_membrane, state, mask)
        da = load_row(grad_adaptation, state, mask)
        for back in range(0, timesteps, CHUNK):
            first = last - back
            xs = _load_chunk(x_rows, current_stride, first, timesteps, mask, CHUNK)
            ds = _load_chunk(ds_rows, grad_spikes_stride, first, timesteps, mask, CHUNK)
            if back > 0:
                start -= start_stride
                v = tl.load(start, mask=mask)
                if ADAPTIVE:
                    a = tl.load(start + population, mask=mask)

            # Forward through the chunk, keeping v and a before each timestep, and v'.
            vs: tl.tuple = ()
            adaptations: tl.tuple = ()
            pres: tl.tuple = ()
            for k in tl.static_range(CHUNK):
                vs += (v,)
                adaptations += (a,)
                i = _apply(affine, xs[k])
                pre, _, v, a = step(
                    i,
                    v,
                    a,
                    decay,
                    threshold,
                    adaptation_decay,
                    strength,
                    TO_ZERO,
                    ADAPTIVE,
                    most,
                    COUNTS,
                )
                pres += (pre,)

            for k in tl.static_range(CHUNK - 1, -1, -1):
                if first + k < timesteps:
                    grad = ds[k] / most if COUNTS else ds[k]
                    dpre, dthreshold, fired = step_backward(
                        pres[k],
                        grad,
                        dv,
                        da,
                        threshold,
                        strength,
                        slope,
                        SURROGATE,
                        TO_ZERO,
                        DETACH_RESET,
                        ADAPTIVE,
                        most,
                        COUNTS,
                    )
                    tl.store(dx_rows + (first + k) * grad_current_stride, dpre, mask=mask)
                    sum_decay += dpre * vs[k]
                    sum_threshold += dthreshold
                    dv = decay * dpre
                    if ADAPTIVE:
                        sum_adaptation_decay += da * adaptations[k]
                        sum_strength += da * fired
                        da = adaptation_decay * da - dpre
                    if affine is not None:
                        sum_offset += dpre
                        sum_scale += dpre * (xs[k] - affine[0])

        if initial_membrane is not None:
            tl.store(grad_initial_membrane + state, dv, mask=mask)
        if ADAPTIVE:
            tl.store(grad_initial_adaptation + state, da, mask=mask)

    if WITH_PARAMETERS:
        sums = parameter_sums + tl.program_id(0) * 4
        tl.store(sums, tl.sum(sum_decay))
        tl.store(sums + 1, tl.sum(sum_threshold))
        tl.store(sums + 2, tl.sum(sum_adaptation_decay))
        tl.store(sums + 3, tl.sum(sum_strength))
    if affine is not None:
        sums = affine_sums + group * 2 * features + column
        tl.store(sums, sum_offset, mask=mask)
        tl.store(sums + features, sum_scale, mask=mask)
