"""LIF with Triton: one pass over the input forward, and one backward.

A program is one block of features of one sample, or backward of a few samples, with the membranes
in registers. It walks through time in chunks: a chunk's loads are issued together, then the neurons
step through it.

No membranes are stored for backward. It steps forward through a chunk again, keeps what it meets in
registers and returns through that. Up to `MAX_CHUNK` timesteps are a single chunk, so forward reads
the current and writes the spikes, and backward reads the current and the spikes' gradient and
writes the current's: five passes over memory. Longer inputs are walked through once more, for the
states at the start of their chunks: that reads all of the current but its last chunk, and moves
another 8 bytes a neuron and chunk. Storing membranes would move 8 bytes a neuron and timestep, two
passes in float32 and four in half precision.

Kernels are launched without fused multiply-adds: they wait for memory, and spikes stay equal to the
reference's.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
from torch import Tensor

from spikeformer.ops.layout import as_rows, empty_rows_like
from spikeformer.ops.lif.triton_kernels import BLOCK, backward_kernel, forward_kernel
from spikeformer.ops.surrogates import SURROGATES

# Backward keeps three to six numbers of each neuron and timestep of a chunk in registers.
MAX_CHUNK = 16

# Sums over the batch are kept by every program, so a program takes several samples where a GPU
# is full without.
_MAX_NEURONS_AT_ONCE = 1 << 20

Affine = tuple[Tensor, Tensor, Tensor]
"""What is taken off, multiplied with and added to every feature, each (f,) in float32."""


def forward(
    current: Tensor,
    membrane: Tensor | None,
    adaptation: Tensor | None,
    parameters: Tensor | Sequence[float],
    reset: str,
    affine: Affine | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes, final membrane and final adaptation (empty if none) of a (b, t, f) current."""
    current = as_rows(current)
    batch, timesteps, features = current.shape
    spikes = empty_rows_like(current)
    final_membrane = current.new_empty(batch, features, dtype=torch.float32)
    final_adaptation = _empty_like(adaptation, final_membrane)
    if current.numel() == 0:
        return spikes, final_membrane, final_adaptation
    with torch.cuda.device_of(current):  # type: ignore[no-untyped-call]
        forward_kernel[(batch * triton.cdiv(features, BLOCK),)](
            current,
            affine,
            _contiguous(membrane),
            _contiguous(adaptation),
            *_in_memory_or_not(parameters),
            spikes,
            final_membrane,
            final_adaptation,
            timesteps,
            features,
            current.stride()[:2],
            spikes.stride()[:2],
            TO_ZERO=reset == "zero",
            CHUNK=_chunk(timesteps),
            BLOCK=BLOCK,
            enable_fp_fusion=False,
        )
    return spikes, final_membrane, final_adaptation


def backward(
    current: Tensor,
    membrane: Tensor | None,
    adaptation: Tensor | None,
    parameters: Tensor | Sequence[float],
    reset: str,
    detach_reset: bool,
    surrogate: str,
    slope: float,
    grad_spikes: Tensor | None,
    grad_membrane: Tensor | None,
    grad_adaptation: Tensor | None,
    with_parameters: bool,
    affine: Affine | None = None,
) -> tuple[Tensor, ...]:
    """Gradients of current, initial membrane, initial adaptation and parameters.

    Those of an absent initial state, or of parameters that need none, are empty. With `affine`, the
    first is the gradient of its output, and a fifth tensor, (2, f), has the sums of that gradient
    and of its product with `current - center`.
    """
    current = as_rows(current)
    batch, timesteps, features = current.shape
    if grad_spikes is None:
        grad_spikes = current.new_zeros(1, 1, features).expand(current.shape)
    grad_spikes = as_rows(grad_spikes)
    grad_current = empty_rows_like(current)
    grad_initial_membrane = _empty_like(membrane, current)
    grad_initial_adaptation = _empty_like(adaptation, current)
    chunk = _chunk(timesteps)
    group_size = max(1, batch * features // _MAX_NEURONS_AT_ONCE)
    num_groups, num_blocks = triton.cdiv(batch, group_size), triton.cdiv(features, BLOCK)
    states = current.new_empty(
        (triton.cdiv(timesteps, chunk) - 1, 1 if adaptation is None else 2, batch, features),
        dtype=torch.float32,
    )
    parameter_sums = states.new_empty(num_groups * num_blocks if with_parameters else 0, 4)
    affine_sums = states.new_empty(num_groups if affine else 0, 2, features)
    if current.numel():
        with torch.cuda.device_of(current):  # type: ignore[no-untyped-call]
            backward_kernel[(num_groups * num_blocks,)](
                current,
                affine,
                _contiguous(membrane),
                _contiguous(adaptation),
                *_in_memory_or_not(parameters),
                slope,
                grad_spikes,
                _contiguous(grad_membrane),
                _contiguous(grad_adaptation),
                grad_current,
                grad_initial_membrane,
                grad_initial_adaptation,
                states,
                parameter_sums,
                affine_sums,
                batch,
                timesteps,
                features,
                group_size,
                current.stride()[:2],
                grad_spikes.stride()[:2],
                grad_current.stride()[:2],
                SURROGATE=SURROGATES[surrogate].code,
                TO_ZERO=reset == "zero",
                DETACH_RESET=detach_reset,
                WITH_PARAMETERS=with_parameters,
                CHUNK=chunk,
                BLOCK=BLOCK,
                enable_fp_fusion=False,
            )
    grad_parameters = parameter_sums.sum(0) if with_parameters else states.new_empty(0)
    grads = grad_current, grad_initial_membrane, grad_initial_adaptation, grad_parameters
    return grads if affine is None else (*grads, affine_sums.sum(0))


def _chunk(timesteps: int) -> int:
    """Timesteps of a chunk: as few chunks as possible, then as even as possible."""
    return triton.cdiv(timesteps, triton.cdiv(timesteps, MAX_CHUNK))


def _in_memory_or_not(
    parameters: Tensor | Sequence[float],
) -> tuple[Tensor | None, tuple[float, ...]]:
    """Parameters as a tensor, which stays on its device, or as numbers."""
    if isinstance(parameters, Tensor):
        return parameters.contiguous(), (0.0,) * 4
    return None, tuple(parameters)


def _contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


def _empty_like(state: Tensor | None, near: Tensor) -> Tensor:
    """Uninitialised like a state, (b, f), and empty if there is none."""
    shape = (0,) if state is None else state.shape
    return near.new_empty(shape, dtype=torch.float32)
