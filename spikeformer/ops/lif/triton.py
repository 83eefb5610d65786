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

from typing import Any

import torch
import triton
from torch import Tensor

from spikeformer.ops.lif.dynamics import Dynamics, State
from spikeformer.ops.lif.operator import Affine
from spikeformer.ops.lif.triton_kernels import BLOCK, backward_kernel, forward_kernel
from spikeformer.ops.surrogates import SURROGATES

# Backward keeps three to six numbers of each neuron and timestep of a chunk in registers.
MAX_CHUNK = 16

# Sums over the batch are kept by every program, so a program takes several samples where a GPU
# is full without.
_MAX_NEURONS_AT_ONCE = 1 << 20


def forward(
    current: Tensor,
    state: State,
    dynamics: Dynamics,
    affine: Affine | None,
    spikes: Tensor,
    final_membrane: Tensor,
    final_adaptation: Tensor,
) -> None:
    """Write the spikes and the final state of a (b, t, f) current with contiguous features."""
    batch, timesteps, features = current.shape
    with torch.cuda.device_of(current):  # type: ignore[no-untyped-call]
        forward_kernel[(batch * triton.cdiv(features, BLOCK),)](
            current,
            affine,
            *map(_contiguous, state),
            *in_memory_or_not(dynamics),
            float(dynamics.max_spikes),
            spikes,
            final_membrane,
            final_adaptation,
            timesteps,
            features,
            current.stride()[:2],
            spikes.stride()[:2],
            TO_ZERO=dynamics.reset == "zero",
            COUNTS=dynamics.max_spikes > 0,
            CHUNK=_chunk(timesteps),
            BLOCK=BLOCK,
            enable_fp_fusion=False,
        )


def backward(
    current: Tensor,
    state: State,
    dynamics: Dynamics,
    affine: Affine | None,
    grad_spikes: Tensor,
    grad_state: State,
    grads: tuple[Tensor, Tensor, Tensor],
) -> tuple[Tensor, ...]:
    """Write the gradients of current and state; return that of the parameters, and affine sums."""
    batch, timesteps, features = current.shape
    chunk = _chunk(timesteps)
    group_size = max(1, batch * features // _MAX_NEURONS_AT_ONCE)
    num_groups, num_blocks = triton.cdiv(batch, group_size), triton.cdiv(features, BLOCK)
    with_parameters = isinstance(dynamics.parameters, Tensor)
    states = current.new_empty(
        (triton.cdiv(timesteps, chunk) - 1, 1 if state[1] is None else 2, batch, features),
        dtype=torch.float32,
    )
    parameter_sums = states.new_empty(num_groups * num_blocks if with_parameters else 0, 4)
    affine_sums = states.new_empty(num_groups if affine else 0, 2, features)
    if current.numel():
        with torch.cuda.device_of(current):  # type: ignore[no-untyped-call]
            backward_kernel[(num_groups * num_blocks,)](
                current,
                affine,
                *map(_contiguous, state),
                *in_memory_or_not(dynamics),
                float(dynamics.max_spikes),
                dynamics.slope,
                grad_spikes,
                *map(_contiguous, grad_state),
                *grads,
                states,
                parameter_sums,
                affine_sums,
                batch,
                timesteps,
                features,
                group_size,
                current.stride()[:2],
                grad_spikes.stride()[:2],
                grads[0].stride()[:2],
                SURROGATE=SURROGATES[dynamics.surrogate].code,
                TO_ZERO=dynamics.reset == "zero",
                DETACH_RESET=dynamics.detach_reset,
                WITH_PARAMETERS=with_parameters,
                COUNTS=dynamics.max_spikes > 0,
                CHUNK=chunk,
                BLOCK=BLOCK,
                enable_fp_fusion=False,
            )
    grad_parameters = parameter_sums.sum(0) if with_parameters else states.new_empty(0)
    return (grad_parameters,) if affine is None else (grad_parameters, affine_sums.sum(0))


def _chunk(timesteps: int) -> int:
    """Timesteps of a chunk: as few chunks as possible, then as even as possible."""
    return triton.cdiv(timesteps, triton.cdiv(timesteps, MAX_CHUNK))


def in_memory_or_not(dynamics: Dynamics) -> tuple[Tensor | None, tuple[Any, ...]]:
    """A neuron's parameters as a tensor, which stays on its device, or as numbers."""
    if isinstance(dynamics.parameters, Tensor):
        return dynamics.parameters.contiguous(), (0.0,) * 4
    return None, tuple(dynamics.parameters)


def _contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()
