"""The convolution of spikes, which saves its spikes packed for backward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from spikeformer.error_handling import ArgumentError
from spikeformer.ops import byte_products
from spikeformer.ops.registration import autocast
from spikeformer.ops.spike_pack import SpikeLayout, spike_pack, spike_unpack


def spike_conv2d(
    spikes: Tensor,
    weight: Tensor,
    *,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    groups: int = 1,
) -> Tensor:
    """`torch.nn.functional.conv2d` of spikes, of which backward keeps one bit each.

    Inference multiplies bytes where `spike_linear` does.

    Args:
        spikes: Spikes, exactly 0 or 1, (batch, in_channels, height, width).
        weight: Weight, (out_channels, in_channels / groups, height, width), as in
            `torch.nn.Conv2d`; under autocast cast like the spikes.
        stride: Steps of the kernel in both directions.
        padding: Zeros around the picture in both directions.
        groups: Groups of channels that do not mix.

    Returns:
        Weighted sums, (batch, out_channels, height, width), as `conv2d` lays them out.

    Raises:
        ArgumentError: If the spikes are no floating-point pictures.

    Example:
        >>> spikes = torch.tensor([[[[1.0, 0.0], [1.0, 1.0]]]])
        >>> spike_conv2d(spikes, torch.ones(1, 1, 2, 2)).item()
        3.0
    """
    if spikes.dim() != 4 or not spikes.is_floating_point():
        received = f"{tuple(spikes.shape)} {spikes.dtype}"
        expected = "a floating-point tensor (batch, in_channels, height, width)"
        raise ArgumentError("spikes", received, expected)
    if groups == 1 and byte_products.may_serve(spikes, weight):
        out = byte_products.convolve(spikes, weight, stride, padding)
        if out is not None:
            return out
    spikes, weight = autocast(spikes, weight)
    result: Tensor = spike_conv2d_op(spikes, weight, list(stride), list(padding), groups)
    return result


@torch.library.custom_op("spikeformer::spike_conv2d", mutates_args=())
def spike_conv2d_op(
    spikes: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int], groups: int
) -> Tensor:
    """What `spike_conv2d` returns."""
    return F.conv2d(spikes, weight, None, stride, padding, 1, groups)


@spike_conv2d_op.register_fake
def _(
    spikes: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int], groups: int
) -> Tensor:
    return F.conv2d(spikes, weight, None, stride, padding, 1, groups)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    spikes, weight, *ctx.options = inputs
    ctx.layout = SpikeLayout.of(spikes)
    ctx.save_for_backward(spike_pack(spikes), weight)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    bits, weight = ctx.saved_tensors
    stride, padding, groups = ctx.options
    grad_spikes, grad_weight, _ = torch.ops.aten.convolution_backward(
        grad,
        spike_unpack(bits, ctx.layout),
        weight,
        bias_sizes=None,
        stride=stride,
        padding=padding,
        dilation=[1, 1],
        transposed=False,
        output_padding=[0, 0],
        groups=groups,
        output_mask=[*ctx.needs_input_grad[:2], False],
    )
    return grad_spikes, grad_weight, None, None, None


spike_conv2d_op.register_autograd(_backward, setup_context=_setup_context)
