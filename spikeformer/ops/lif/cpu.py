"""LIF on CPUs with Numba: one pass over the input forward, and one backward.

Forward keeps the membrane of a block of features in cache while it walks through time, reading the
input and writing the spikes once. Nothing is stored for backward: it repeats the walk over a block,
keeping that block's membranes in a scratch buffer, and returns through it.
"""

from __future__ import annotations

from functools import cache
from math import frexp
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spikeformer.ops import openmp
from spikeformer.ops.formats import flat, strided
from spikeformer.ops.layout import BLOCK
from spikeformer.ops.lif.cpu_kernels import POWERS_OF_TWO, backward_kernel
from spikeformer.ops.lif.dynamics import Dynamics, State
from spikeformer.ops.lif.operator import Affine
from spikeformer.ops.lif.unrolled_kernels import (
    TIMESTEPS,
    forward_kernel,
    unrolled_backward_kernel,
)
from spikeformer.ops.threads import run_tasks

# Batch norm's sums are kept per group of samples: so many tasks are enough for every thread, and
# do not depend on how many threads there are.
_TASKS_WITH_SUMS = 64


class Tasks(NamedTuple):
    """How kernels divide a (b, t, f) tensor: by blocks of features and groups of samples.

    A block has `BLOCK` features, or as many as there are numbers of batch norm if these are fewer.
    """

    num_tasks: int
    num_groups: int
    shape: tuple[int, int, int, int]
    """Batch, timesteps, features and the samples of a group."""

    @classmethod
    def of(cls, x_btf: Tensor, by_feature: Tensor | None = None, *, sums: bool = False) -> Tasks:
        """Divide `x_btf`; with `sums` into few groups, since each keeps its own."""
        batch, timesteps, features = x_btf.shape
        width = BLOCK if by_feature is None else min(BLOCK, by_feature.numel())
        num_blocks = -(-features // max(1, width))
        num_groups = max(1, min(batch, _TASKS_WITH_SUMS // max(1, num_blocks))) if sums else batch
        group_size = -(-batch // max(1, num_groups))
        num_groups = -(-batch // max(1, group_size))
        return cls(num_groups * num_blocks, num_groups, (batch, timesteps, features, group_size))


def forward(
    current: Tensor,
    state: State,
    dynamics: Dynamics,
    affine: Affine | None,
    spikes: Tensor,
    final_membrane: Tensor,
    final_adaptation: Tensor,
) -> None:
    """Write the spikes and the final state of a (b, t, f) current with contiguous features.

    Without adaptation, an empty `final_membrane` says that nobody needs the state.
    """
    tasks = Tasks.of(current, affine[0] if affine else None)
    kernel = forward_kernel(
        current.dtype,
        dynamics.reset,
        state[1] is not None,
        affine is not None,
        _counts(dynamics),
        final_membrane.numel() > 0,
        not final_membrane.numel() and current.shape[1] == 1 and state[0] is None,
    )
    arguments = (
        tasks.shape,
        numbers(dynamics),
        *strided(current),
        *map(flat, affine or (None,) * 3),
        *map(flat, state),
        *strided(spikes),
        flat(final_membrane),
        flat(final_adaptation),
    )
    run_tasks(kernel, arguments, tasks.num_tasks, current.numel())


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
    tasks = Tasks.of(current, affine[0] if affine else None, sums=affine is not None)
    with_parameters = isinstance(dynamics.parameters, Tensor)
    partial_sums = np.zeros((tasks.num_tasks if with_parameters else 0, 4))
    affine_sums = np.zeros((tasks.num_groups if affine else 0, 2, current.shape[2]), np.float32)
    neuron = current.dtype, dynamics.reset, dynamics.detach_reset, dynamics.surrogate
    others = affine is not None, _counts(dynamics)
    adaptive, timesteps = state[1] is not None, current.shape[1]
    if timesteps in TIMESTEPS and not adaptive and not with_parameters:
        kernel = unrolled_backward_kernel(timesteps, *neuron, *others)
    else:
        kernel = backward_kernel(*neuron, adaptive, with_parameters, *others)
    arguments = (
        tasks.shape,
        (*numbers(dynamics), np.float32(dynamics.slope)),
        *strided(current),
        *map(flat, affine or (None,) * 3),
        *map(flat, state),
        *strided(grad_spikes),
        *map(flat, grad_state),
        *strided(grads[0]),
        flat(grads[1]),
        flat(grads[2]),
        partial_sums,
        affine_sums,
    )
    run_tasks(kernel, arguments, tasks.num_tasks, current.numel())
    # Summed per task, then over tasks in order: the result does not depend on the threads.
    grad_parameters = torch.from_numpy(partial_sums.sum(0) if with_parameters else np.empty(0))
    if affine is None:
        return (grad_parameters.float(),)
    return grad_parameters.float(), torch.from_numpy(affine_sums).sum(0)


def _counts(dynamics: Dynamics) -> str:
    """Which of `COUNTS` the neurons are."""
    if dynamics.max_spikes == 0:
        return ""
    threshold = float(dynamics.parameters[1])
    powers = all(frexp(divisor)[0] == 0.5 for divisor in (threshold, dynamics.max_spikes))
    return POWERS_OF_TWO if powers and 2.0**-64 < threshold < 2.0**64 else "any"


@cache
def forward_address(reset: str, adaptive: bool) -> int:
    """Address of the forward kernel on float32, for other kernels to call."""
    kernel = forward_kernel(torch.float32, reset, adaptive, False, "")
    memory, strides, parameters = np.empty(0, np.float32), (0, 0), (np.float32(0),) * 5
    arguments = (
        (0,) * 4,
        parameters,
        memory,
        strides,
        *(memory,) * 5,
        memory,
        strides,
        memory,
        memory,
    )
    return openmp.kernel_address(kernel, arguments)


@cache
def backward_address(
    reset: str, detach_reset: bool, surrogate: str, adaptive: bool, with_parameters: bool
) -> int:
    """Address of the backward kernel on float32, for other kernels to call."""
    kernel = backward_kernel(
        torch.float32, reset, detach_reset, surrogate, adaptive, with_parameters, False, ""
    )
    memory, strides, parameters = np.empty(0, np.float32), (0, 0), (np.float32(0),) * 6
    arguments = (
        (0,) * 4,
        parameters,
        memory,
        strides,
        *(memory,) * 5,
        memory,
        strides,
        memory,
        memory,
        memory,
        strides,
        memory,
        memory,
        np.empty((0, 4)),
        np.empty((0, 2, 0), np.float32),
    )
    return openmp.kernel_address(kernel, arguments)


def numbers(dynamics: Dynamics) -> tuple[np.float32, ...]:
    """The neurons' parameters and their most spikes, as kernels take them."""
    parameters = dynamics.parameters
    values = parameters.tolist() if isinstance(parameters, Tensor) else parameters
    return tuple(map(np.float32, (*values, dynamics.max_spikes)))
