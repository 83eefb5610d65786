"""The linear map of spikes as an operator of torch, which saves its spikes packed for backward.

Spikes are (rows, inputs), the weight is (outputs, inputs), the bias (outputs,).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikeformer.ops.dense import linear, weight_gradient
from spikeformer.ops.dispatch import load_kernels
from spikeformer.ops.spike_pack import SpikeLayout, spike_pack, spike_unpack


@torch.library.custom_op("spikeformer::spike_linear", mutates_args=())
def spike_linear_op(spikes: Tensor, weight: Tensor, bias: Tensor | None, backend: str) -> Tensor:
    """Outputs, (rows, outputs); `backend` may also be "dense", the product of torch."""
    if backend == "dense":
        return linear(spikes, weight, bias)
    return load_kernels("spike_linear", backend).forward(spikes, weight, bias)


@spike_linear_op.register_fake
def _(spikes: Tensor, weight: Tensor, bias: Tensor | None, backend: str) -> Tensor:
    return spikes.new_empty(spikes.shape[0], weight.shape[0])


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    spikes, weight, _, _ = inputs
    ctx.layout = SpikeLayout.of(spikes)
    # Each of the two is only needed for the gradient of the other.
    ctx.save_for_backward(
        spike_pack(spikes) if ctx.needs_input_grad[1] else None,
        weight if ctx.needs_input_grad[0] else None,
    )


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    bits, weight = ctx.saved_tensors
    return (
        None if weight is None else linear(grad, weight.t()),
        None if bits is None else weight_gradient(grad, spike_unpack(bits, ctx.layout)),
        grad.sum(0) if ctx.needs_input_grad[2] else None,
        None,
    )


spike_linear_op.register_autograd(_backward, setup_context=_setup_context)
