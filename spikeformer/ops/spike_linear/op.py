"""The public `spike_linear` function, and its operator, which saves its spikes packed."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from spikeformer.error_handling import ArgumentError
from spikeformer.ops import byte_products
from spikeformer.ops.dense import linear, weight_gradient
from spikeformer.ops.dispatch import load_kernels, resolve_backend
from spikeformer.ops.registration import autocast
from spikeformer.ops.spike_linear.reference import linear_reference
from spikeformer.ops.spike_pack import SpikeLayout, spike_pack, spike_unpack


def spike_linear(
    spikes: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    binary: bool = True,
    backend: str = "auto",
) -> Tensor:
    """`torch.nn.functional.linear` for spikes: adds up the weights of the inputs that fired.

    With s the spikes, W the weight and b the bias:

        y[o] = b[o] + sum over i with s[i] = 1 of W[o, i]

    Kernels count the spikes and multiply densely where that is faster, so rounding, and nothing
    else, depends on the firing rate. On CPUs that multiply matrices of bytes, inference with a
    large parameter does so (`spikeformer.ops.byte_products`), which rounds less. Backward needs the
    spikes for the gradient of the weight, and saves one bit of each.

    Args:
        spikes: Spikes, (..., inputs); under autocast cast like the other two.
        weight: Weight, (outputs, inputs), as in `torch.nn.Linear`, in the dtype of `spikes`.
        bias: Bias, (outputs,); None adds none.
        binary: Promise that all spikes are exactly 0 or 1. Sums of spikes and graded ones need
            False, which multiplies densely and saves them as they are.
        backend: One of `BACKENDS`. "auto" is "cpu" on CPUs; on GPUs it multiplies densely, and
            "triton" skips blocks of the product that have no spike.

    Returns:
        Weighted sums, (..., outputs), in the dtype of `spikes`; accumulated in float32 or wider.

    Raises:
        ArgumentError: If shapes or dtypes do not fit each other.
        BackendUnavailableError: If an explicit backend cannot run on the spikes' device.

    Example:
        >>> weight = torch.tensor([[1.0, 2.0, 4.0]])
        >>> spike_linear(torch.tensor([1.0, 0.0, 1.0]), weight).tolist()
        [5.0]
    """
    _check(spikes, weight, bias)
    kernel = resolve_backend(backend, spikes.device, op="spike_linear", dtype=spikes.dtype)
    if kernel == "reference":
        return linear_reference(spikes, weight, bias)
    if backend == "auto" and kernel == "triton":
        kernel = "dense"
    *leading, inputs = spikes.shape
    if byte_products.may_serve(spikes, weight):
        summed = byte_products.linear(spikes.reshape(math.prod(leading), inputs), weight)
        if summed is not None:
            summed = summed if bias is None else summed.add_(bias)
            return summed.view(*leading, weight.shape[0])
    spikes, weight, bias = autocast(spikes, weight, bias)
    rows = spikes.reshape(math.prod(leading), inputs)
    out = spike_linear_op(rows, weight, bias, kernel) if binary else linear(rows, weight, bias)
    return out.view(*leading, weight.shape[0])


def _check(spikes: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    if not spikes.is_floating_point() or spikes.dim() < 1:
        received = f"{tuple(spikes.shape)} {spikes.dtype}"
        raise ArgumentError("spikes", received, "a floating-point tensor (..., inputs)")
    if weight.dim() != 2 or weight.shape[1] != spikes.shape[-1]:
        expected = f"of shape (outputs, {spikes.shape[-1]})"
        raise ArgumentError("weight", tuple(weight.shape), expected)
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ArgumentError("bias", tuple(bias.shape), f"of shape {(weight.shape[0],)}")
    autocast = torch.is_autocast_enabled(spikes.device.type)
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and tensor.dtype != spikes.dtype and not autocast:
            raise ArgumentError(name, tensor.dtype, f"{spikes.dtype}, as the spikes are")


@torch.library.custom_op("spikeformer::spike_linear", mutates_args=())
def spike_linear_op(spikes: Tensor, weight: Tensor, bias: Tensor | None, backend: str) -> Tensor:
    """Outputs, (rows, outputs), of spikes (rows, inputs); "dense" is the product of torch."""
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
