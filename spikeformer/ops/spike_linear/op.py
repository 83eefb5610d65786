"""The public `spike_linear` function: checks its arguments, picks a backend and runs it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spikeformer.error_handling import ArgumentError
from spikeformer.i18n import t
from spikeformer.ops.dense import linear
from spikeformer.ops.dispatch import resolve_backend
from spikeformer.ops.spike_linear.operator import spike_linear_op
from spikeformer.ops.spike_linear.reference import linear_reference


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
    else, depends on the firing rate. Backward needs the spikes for the gradient of the weight, and
    saves one bit of each.

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
    device = spikes.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        spikes, weight = spikes.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    *leading, inputs = spikes.shape
    rows = spikes.reshape(math.prod(leading), inputs)
    out = spike_linear_op(rows, weight, bias, kernel) if binary else linear(rows, weight, bias)
    return out.view(*leading, weight.shape[0])


def _check(spikes: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    if not spikes.is_floating_point() or spikes.dim() < 1:
        received = f"{tuple(spikes.shape)} {spikes.dtype}"
        raise ArgumentError("spikes", received, t("ops.rows"))
    if weight.dim() != 2 or weight.shape[1] != spikes.shape[-1]:
        expected = t("expected.of_shape", shape=f"(outputs, {spikes.shape[-1]})")
        raise ArgumentError("weight", tuple(weight.shape), expected)
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ArgumentError(
            "bias", tuple(bias.shape), t("expected.of_shape", shape=(weight.shape[0],))
        )
    autocast = torch.is_autocast_enabled(spikes.device.type)
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and tensor.dtype != spikes.dtype and not autocast:
            raise ArgumentError(name, tensor.dtype, t("ops.as_spikes", dtype=spikes.dtype))
