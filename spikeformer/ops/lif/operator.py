"""LIF as operators of torch, so that autograd, `torch.compile` and `torch.export` know it.

Tensors are (b, t, f) and states (b, f), in the dtypes of `formats.py`. The parameters decay,
threshold, adaptation decay and adaptation strength come as numbers, or, if any is a tensor, as one
tensor of four, which then has a gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from spikeformer.ops.dispatch import load_kernels
from spikeformer.ops.layout import empty_rows_like


@torch.library.custom_op("spikeformer::lif", mutates_args=())
def lif_op(
    current: Tensor,
    membrane: Tensor | None,
    adaptation: Tensor | None,
    parameters: Tensor | None,
    numbers: Sequence[float],
    reset: str,
    detach_reset: bool,
    surrogate: str,
    slope: float,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes, final membrane and final adaptation, which is empty if there is none."""
    kernels = load_kernels("lif", backend)
    return kernels.forward(current, membrane, adaptation, _scalars(parameters, numbers), reset)


@lif_op.register_fake
def _(
    current: Tensor,
    membrane: Tensor | None,
    adaptation: Tensor | None,
    *_: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    state = current.new_empty(current.shape[0], current.shape[2], dtype=torch.float32)
    absent = state.new_empty(0)
    return empty_rows_like(current), state, absent if adaptation is None else state.clone()


@torch.library.custom_op("spikeformer::lif_backward", mutates_args=())
def lif_backward_op(
    current: Tensor,
    membrane: Tensor | None,
    adaptation: Tensor | None,
    parameters: Tensor | None,
    numbers: Sequence[float],
    reset: str,
    detach_reset: bool,
    surrogate: str,
    slope: float,
    backend: str,
    grad_spikes: Tensor | None,
    grad_membrane: Tensor | None,
    grad_adaptation: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of current, membrane, adaptation and parameters; empty where those are None."""
    return load_kernels("lif", backend).backward(
        current,
        membrane,
        adaptation,
        _scalars(parameters, numbers),
        reset,
        detach_reset,
        surrogate,
        slope,
        grad_spikes,
        grad_membrane,
        grad_adaptation,
        with_parameters=parameters is not None,
    )


@lif_backward_op.register_fake
def _(
    current: Tensor,
    membrane: Tensor | None,
    adaptation: Tensor | None,
    parameters: Tensor | None,
    *_: Any,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    def like(tensor: Tensor | None) -> Tensor:
        shape = (0,) if tensor is None else tensor.shape
        return current.new_empty(shape, dtype=torch.float32)

    return empty_rows_like(current), like(membrane), like(adaptation), like(parameters)


def _scalars(parameters: Tensor | None, numbers: Sequence[float]) -> Tensor | Sequence[float]:
    return numbers if parameters is None else parameters


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    # The input is all that backward needs: it computes membranes and spikes again.
    ctx.save_for_backward(*inputs[:4])
    ctx.options = inputs[4:]
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    inputs = ctx.saved_tensors
    if inputs[2] is None:
        grads = (*grads[:2], None)
    results = lif_backward_op(*inputs, *ctx.options, *grads)
    tensors = (
        result if given is not None else None for given, result in zip(inputs, results, strict=True)
    )
    return (*tensors, *(None for _ in ctx.options))


lif_op.register_autograd(_backward, setup_context=_setup_context)
