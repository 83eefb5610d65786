"""Batch norm and LIF as operators of torch.

The current is (b, t, f), as for `lif`. Channels lie in its features as (outer, channels, inner):
`inner` is how many neighbours share a channel. A normalised feature is
`(current - mean) * scale + bias` with `scale = weight / sqrt(variance + eps)`, which the kernels of
`lif` compute while they read the current; what is left to this op are the moments of the batch and
their part in the gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from spikeformer.ops.dispatch import load_kernels
from spikeformer.ops.layout import as_rows, empty_rows_like


@torch.library.custom_op("spikeformer::norm_lif", mutates_args=())
def norm_lif_op(
    current: Tensor,
    membrane: Tensor | None,
    adaptation: Tensor | None,
    parameters: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor | None,
    variance: Tensor | None,
    numbers: Sequence[float],
    reset: str,
    detach_reset: bool,
    surrogate: str,
    slope: float,
    backend: str,
    inner: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Spikes, final membrane, final adaptation (empty if none), and the mean and variance used."""
    if mean is None or variance is None:
        mean, variance = _moments(current, weight.numel(), inner, backend)
    else:
        mean, variance = mean.clone(), variance.clone()
    scale = weight * torch.rsqrt(variance + eps)
    results = load_kernels("lif", backend).forward(
        current,
        membrane,
        adaptation,
        numbers if parameters is None else parameters,
        reset,
        affine=tuple(_by_feature(x, current, inner) for x in (mean, scale, bias)),
    )
    return *results, mean, variance


@norm_lif_op.register_fake
def _(
    current: Tensor,
    membrane: Tensor | None,
    adaptation: Tensor | None,
    parameters: Tensor | None,
    weight: Tensor,
    *_: Any,
) -> tuple[Tensor, ...]:
    state = current.new_empty(current.shape[0], current.shape[2], dtype=torch.float32)
    final_adaptation = state.new_empty(0) if adaptation is None else state.clone()
    moments = (weight.new_empty(weight.shape, dtype=torch.float32) for _ in range(2))
    return empty_rows_like(current), state, final_adaptation, *moments


@torch.library.custom_op("spikeformer::norm_lif_backward", mutates_args=())
def norm_lif_backward_op(
    current: Tensor,
    membrane: Tensor | None,
    adaptation: Tensor | None,
    parameters: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    numbers: Sequence[float],
    reset: str,
    detach_reset: bool,
    surrogate: str,
    slope: float,
    backend: str,
    inner: int,
    eps: float,
    from_batch: bool,
    grad_spikes: Tensor | None,
    grad_membrane: Tensor | None,
    grad_adaptation: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of current, membrane, adaptation, parameters, weight and bias.

    With y the normalised current, n values a channel and sums over them,

        d bias = sum dy,   d weight = sum dy (x - mean) / std,
        d x = scale (dy - sum dy / n - (x - mean) / variance * sum dy (x - mean) / n)

    of which only `d x = scale dy` is left where the moments are not those of the batch.
    """
    inverse_std = torch.rsqrt(variance + eps)
    scale = weight * inverse_std
    center = _by_feature(mean, current, inner)
    grad_current, grad_membrane_in, grad_adaptation_in, grad_parameters, sums = load_kernels(
        "lif", backend
    ).backward(
        current,
        membrane,
        adaptation,
        numbers if parameters is None else parameters,
        reset,
        detach_reset,
        surrogate,
        slope,
        grad_spikes,
        grad_membrane,
        grad_adaptation,
        with_parameters=parameters is not None,
        affine=(center, *(_by_feature(x, current, inner) for x in (scale, bias))),
    )
    sum_grad, sum_product = sums.view(2, -1, weight.numel(), inner).sum((1, 3))
    shift, tilt = torch.zeros_like(sum_grad), torch.zeros_like(sum_grad)
    if from_batch:
        count = max(1, current.numel() // weight.numel())
        shift = sum_grad / count
        tilt = sum_product * inverse_std.square() / count
    load_kernels("norm_lif", backend).finish_gradient(
        grad_current,
        as_rows(current),
        center,
        *(_by_feature(x, current, inner) for x in (scale, shift, tilt)),
    )
    return (
        grad_current,
        grad_membrane_in,
        grad_adaptation_in,
        grad_parameters,
        sum_product * inverse_std,
        sum_grad,
    )


@norm_lif_backward_op.register_fake
def _(
    current: Tensor,
    membrane: Tensor | None,
    adaptation: Tensor | None,
    parameters: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    *_: Any,
) -> tuple[Tensor, ...]:
    def like(tensor: Tensor | None) -> Tensor:
        shape = (0,) if tensor is None else tensor.shape
        return current.new_empty(shape, dtype=torch.float32)

    given = (membrane, adaptation, parameters, weight, bias)
    return empty_rows_like(current), *(like(tensor) for tensor in given)


def _moments(current: Tensor, channels: int, inner: int, backend: str) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of every channel.

    Summed around one value of the channel, so that a mean far from zero costs no digits.
    """
    around = current[0, 0].view(-1, channels, inner)[0, :, 0].float()
    sums = load_kernels("norm_lif", backend).sums_around(
        as_rows(current), _by_feature(around, current, inner)
    )
    totals = sums.view(2, -1, channels, inner).sum((1, 3), dtype=torch.float64)
    distance, square = totals * (channels / current.numel())
    variance = (square - distance.square()).clamp(min=0.0)
    return (around + distance).float(), variance.float()


def _by_feature(by_channel: Tensor, current: Tensor, inner: int) -> Tensor:
    """One number a channel, (channels,), to one a feature, (f,)."""
    channels = by_channel.numel()
    outer = current.shape[2] // max(1, channels * inner)
    return by_channel.detach().float().view(1, -1, 1).expand(outer, channels, inner).reshape(-1)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    # Beside the input, backward needs only the moments: it computes membranes and spikes again.
    ctx.save_for_backward(*inputs[:6], *output[3:])
    ctx.from_batch = inputs[6] is None
    ctx.adaptive = inputs[2] is not None
    ctx.options = inputs[8:]
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    # The moments are handed out for the running statistics, which take no gradient.
    grad_spikes, grad_membrane, grad_adaptation = grads[:3]
    inputs = ctx.saved_tensors
    results = norm_lif_backward_op(
        *inputs,
        *ctx.options,
        ctx.from_batch,
        grad_spikes,
        grad_membrane,
        grad_adaptation if ctx.adaptive else None,
    )
    tensors = (
        result if given is not None else None
        for given, result in zip(inputs[:6], results, strict=True)
    )
    return (*tensors, None, None, *(None for _ in ctx.options))


norm_lif_op.register_autograd(_backward, setup_context=_setup_context)
