"""The neurons of a kernel's task: `lif` on rows in scratch memory, and their state.

A task's neurons lie in rows of equal width. A place says where in a tensor of states they belong:
index of the first, stride of a row there, width of a row here, number of rows, length of a row
there, which may be less than the width.
"""

from __future__ import annotations

from typing import Any

from numba.extending import register_jitable

from spikeformer.ops.derivatives import ZERO
from spikeformer.ops.layout import BLOCK
from spikeformer.ops.openmp import call_kernel
from spikeformer.ops.vectors import copy_rows

Place = tuple[int, int, int, int, int]

_FAILED = "the kernel of the neurons found no memory for its scratch buffer"


@register_jitable
def lif_blocks(size: int) -> int:
    """How many tasks so many neurons are for `lif`."""
    return (size + BLOCK - 1) // BLOCK


@register_jitable
def take(source: Any, place: Place, rows: Any) -> None:
    """Copy a task's neurons out of a tensor; zeros if there is none."""
    first, stride, width, count, length = place
    rows[:] = ZERO
    if source.size:
        copy_rows(source, first, stride, rows, 0, width, count, length)


@register_jitable
def give(rows: Any, place: Place, target: Any) -> None:
    """Copy a task's neurons into a tensor, if there is one."""
    first, stride, width, count, length = place
    if target.size:
        copy_rows(rows, 0, width, target, first, stride, count, length)


@register_jitable
def fire(
    lif: int, timesteps: int, size: int, numbers: Any, current: Any, state: Any, spikes: Any
) -> None:
    """Spikes of `size` neurons, (timesteps, size).

    Args:
        lif: Address of the forward kernel.
        timesteps: Number of timesteps.
        size: Number of neurons.
        numbers: Their parameters.
        current: What they integrate, (timesteps, size).
        state: Membranes and adaptation before, then after, (4, size).
        spikes: Where the spikes go.
    """
    none, strides = current[:0], (0, size)
    arguments = (
        0,
        lif_blocks(size),
        (1, timesteps, size, 1),
        numbers,
        current,
        strides,
        none,
        none,
        none,
        state[:size],
        state[size : 2 * size],
        spikes,
        strides,
        state[2 * size : 3 * size],
        state[3 * size : 4 * size],
    )
    if call_kernel(lif, arguments):
        raise MemoryError(_FAILED)


@register_jitable
def fire_backward(
    lif: int,
    timesteps: int,
    size: int,
    numbers: Any,
    current: Any,
    state: Any,
    grad_spikes: Any,
    grad_current: Any,
    grad_state: Any,
    grad_parameters: Any,
    no_sums: Any,
) -> None:
    """Gradients of what `fire` computes.

    Args:
        lif: Address of the backward kernel.
        timesteps: Number of timesteps.
        size: Number of neurons.
        numbers: Their parameters, and the slope of the surrogate.
        current: What they integrate, (timesteps, size).
        state: As `fire` left it.
        grad_spikes: Gradient of the spikes, (timesteps, size).
        grad_current: Where that of the current goes.
        grad_state: Gradient of the state after, then room for that of the state before, (4, size).
        grad_parameters: Where the shares of this task in that of the parameters go, a row for each
            block of `lif`, (blocks, 4); empty if they have no gradient.
        no_sums: What `lif` takes where there is no batch norm.
    """
    none, strides = current[:0], (0, size)
    arguments = (
        0,
        lif_blocks(size),
        (1, timesteps, size, 1),
        numbers,
        current,
        strides,
        none,
        none,
        none,
        state[:size],
        state[size : 2 * size],
        grad_spikes,
        strides,
        grad_state[:size],
        grad_state[size : 2 * size],
        grad_current,
        strides,
        grad_state[2 * size : 3 * size],
        grad_state[3 * size : 4 * size],
        grad_parameters,
        no_sums,
    )
    if call_kernel(lif, arguments):
        raise MemoryError(_FAILED)
