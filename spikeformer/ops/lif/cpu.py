"""LIF on CPUs with Numba: one pass over the input forward, and one backward.

Forward keeps the membrane of a block of features in cache while it walks through time, reading the
input and writing the spikes once. Nothing is stored for backward: it repeats the walk over a block,
keeping that block's membranes in a scratch buffer, and returns through it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spikeformer.ops.formats import FORMATS
from spikeformer.ops.layout import as_rows, empty_rows_like
from spikeformer.ops.lif.cpu_kernels import BLOCK, backward_kernel, forward_kernel
from spikeformer.ops.threads import run_tasks

# Batch norm's sums are kept per group of samples: so many tasks are enough for every thread, and
# do not depend on how many threads there are.
_TASKS_WITH_SUMS = 64

Affine = tuple[Tensor, Tensor, Tensor]
"""What is taken off, multiplied with and added to every feature, each (f,) in float32."""


class Tasks(NamedTuple):
    """How kernels divide a (b, t, f) tensor: by blocks of features and groups of samples."""

    num_tasks: int
    num_groups: int
    shape: tuple[int, int, int, int]
    """Batch, timesteps, features and the samples of a group."""

    @classmethod
    def of(cls, x_btf: Tensor, *, sums: bool) -> Tasks:
        """Divide `x_btf`; with `sums` into few groups, since each keeps its own."""
        batch, timesteps, features = x_btf.shape
        num_blocks = -(-features // BLOCK)
        num_groups = max(1, min(batch, _TASKS_WITH_SUMS // max(1, num_blocks))) if sums else batch
        group_size = -(-batch // max(1, num_groups))
        num_groups = -(-batch // max(1, group_size))
        return cls(num_groups * num_blocks, num_groups, (batch, timesteps, features, group_size))


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
    tasks = Tasks.of(current, sums=False)
    spikes = empty_rows_like(current)
    final_membrane = torch.empty(current.shape[0], current.shape[2])
    final_adaptation = torch.empty(0 if adaptation is None else final_membrane.shape)
    kernel = forward_kernel(current.dtype, reset, adaptation is not None, affine is not None)
    arguments = (
        tasks.shape,
        _numbers(parameters),
        *strided(current),
        *_affine(affine),
        flat(membrane),
        flat(adaptation),
        *strided(spikes),
        flat(final_membrane),
        flat(final_adaptation),
    )
    run_tasks(kernel, arguments, tasks.num_tasks, current.numel())
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
    tasks = Tasks.of(current, sums=affine is not None)
    if grad_spikes is None:
        grad_spikes = current.new_zeros(1, 1, current.shape[2]).expand(current.shape)
    grad_current = empty_rows_like(current)
    grad_initial_membrane = torch.empty(0 if membrane is None else membrane.shape)
    grad_initial_adaptation = torch.empty(0 if adaptation is None else adaptation.shape)
    partial_sums = np.zeros((tasks.num_tasks if with_parameters else 0, 4))
    affine_sums = torch.zeros(tasks.num_groups if affine else 0, 2, current.shape[2])
    kernel = backward_kernel(
        current.dtype,
        reset,
        detach_reset,
        surrogate,
        adaptation is not None,
        with_parameters,
        affine is not None,
    )
    arguments = (
        tasks.shape,
        (*_numbers(parameters), np.float32(slope)),
        *strided(current),
        *_affine(affine),
        flat(membrane),
        flat(adaptation),
        *strided(as_rows(grad_spikes)),
        flat(grad_membrane),
        flat(grad_adaptation),
        *strided(grad_current),
        flat(grad_initial_membrane),
        flat(grad_initial_adaptation),
        partial_sums,
        affine_sums.numpy(),
    )
    run_tasks(kernel, arguments, tasks.num_tasks, current.numel())
    # Summed per task, then over tasks in order: the result does not depend on the threads.
    grad_parameters = torch.from_numpy(partial_sums.sum(0) if with_parameters else np.empty(0))
    grads = grad_current, grad_initial_membrane, grad_initial_adaptation, grad_parameters.float()
    return grads if affine is None else (*grads, affine_sums.sum(0))


def _numbers(parameters: Tensor | Sequence[float]) -> tuple[np.float32, ...]:
    numbers = parameters.tolist() if isinstance(parameters, Tensor) else parameters
    return tuple(map(np.float32, numbers))


def _affine(affine: Affine | None) -> tuple[Any, ...]:
    return tuple(flat(tensor) for tensor in affine or (None, None, None))


def flat(tensor: Tensor | None) -> Any:
    """A tensor's memory as a one-dimensional array, 16-bit floats as their bits; None as empty."""
    if tensor is None:
        return np.empty(0, np.float32)
    return tensor.detach().contiguous().view(FORMATS[tensor.dtype].memory).view(-1).numpy()


def strided(x_btf: Tensor) -> tuple[Any, tuple[int, int]]:
    """The memory a tensor spans as a one-dimensional array, with its batch and time strides."""
    batch_stride, time_stride, _ = x_btf.stride()
    batch, timesteps, features = x_btf.shape
    span = (batch - 1) * batch_stride + (timesteps - 1) * time_stride + features
    return flat(x_btf.as_strided((span if x_btf.numel() else 0,), (1,))), (
        batch_stride,
        time_stride,
    )
