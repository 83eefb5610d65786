"""Batch norm and LIF as an operator of torch, on the kernels of `lif`.

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
from spikeformer.ops.lif.dynamics import Dynamics
from spikeformer.ops.lif.operator import empty_outputs, lif_backward, lif_forward
from spikeformer.ops.registration import (
    GRADIENTS,
    NEURON,
    STATE,
    define,
    differentiate,
    float32_like,
)


def forward(
    current: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor | None,
    variance: Tensor | None,
    *others: Any,
) -> tuple[Tensor, ...]:
    """What `lif` returns, and the mean and variance used."""
    membrane, adaptation, *neuron, inner, eps = others
    dynamics = Dynamics.of_operator(*neuron)
    if mean is None or variance is None:
        mean, variance = moments(current, weight.numel(), inner, dynamics.backend)
    else:
        mean, variance = (x.to(torch.float32, copy=True) for x in (mean, variance))
    scale = weight * torch.rsqrt(variance + eps)
    center, factor, offset = (_by_feature(x, current, inner) for x in (mean, scale, bias))
    state = membrane, adaptation
    return *lif_forward(current, state, dynamics, (center, factor, offset)), mean, variance


def forward_fake(
    current: Tensor, weight: Tensor, bias: Tensor, mean: Any, variance: Any, *others: Any
) -> tuple[Tensor, ...]:
    """What `forward` returns, without values."""
    return *empty_outputs(current, others[:2]), *float32_like(weight, weight, weight)


def backward(
    current: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, *others: Any
) -> tuple[Tensor, ...]:
    """Gradients of current, weight, bias, membrane, adaptation and parameters.

    With y the normalised current, n values a channel and sums over them,

        d bias = sum dy,   d weight = sum dy (x - mean) / std,
        d x = scale (dy - sum dy / n - (x - mean) / variance * sum dy (x - mean) / n)

    of which only `d x = scale dy` is left where the moments are not those of the batch.
    """
    membrane, adaptation, *neuron, inner, eps, from_batch, grad_spikes = others[:-2]
    dynamics = Dynamics.of_operator(*neuron)
    inverse_std = torch.rsqrt(variance + eps)
    scale = weight * inverse_std
    center, factor, offset = (_by_feature(x, current, inner) for x in (mean, scale, bias))
    grad_current, *grad_neuron, sums = lif_backward(
        current,
        (membrane, adaptation),
        dynamics,
        grad_spikes,
        others[-2:],
        (center, factor, offset),
    )
    sum_grad, sum_product = sums.view(2, -1, weight.numel(), inner).sum((1, 3))
    shift, tilt = torch.zeros_like(sum_grad), torch.zeros_like(sum_grad)
    if from_batch:
        count = max(1, current.numel() // weight.numel())
        shift = sum_grad / count
        tilt = sum_product * inverse_std.square() / count
    if grad_current.numel():
        load_kernels("norm_lif", dynamics.backend).finish_gradient(
            grad_current,
            as_rows(current),
            center,
            factor,
            *(_by_feature(x, current, inner) for x in (shift, tilt)),
        )
    return grad_current, sum_product * inverse_std, sum_grad, *grad_neuron


def backward_fake(
    current: Tensor, weight: Tensor, bias: Tensor, mean: Any, variance: Any, *others: Any
) -> tuple[Tensor, ...]:
    """What `backward` returns, without values."""
    given = (weight, bias, *others[:3])
    return empty_rows_like(as_rows(current)), *float32_like(current, *given)


def moments(current: Tensor, channels: int, inner: int, backend: str) -> tuple[Tensor, Tensor]:
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


def follow(
    running: tuple[Tensor, Tensor], used: Sequence[Tensor], count: int, momentum: float
) -> None:
    """Move the running mean and unbiased variance towards those of a batch of `count` values."""
    mean, variance = used
    with torch.no_grad():
        unbiased = variance * (count / (count - 1))
        for kept, found in zip(running, (mean, unbiased), strict=True):
            kept.lerp_(found.to(kept.dtype), momentum)


def _by_feature(by_channel: Tensor, current: Tensor, inner: int) -> Tensor:
    """One number a channel, (channels,), to one a feature, (f,)."""
    channels = by_channel.numel()
    if channels == current.shape[2]:
        return by_channel.detach().float()
    outer = current.shape[2] // max(1, channels * inner)
    return by_channel.detach().float().view(1, -1, 1).expand(outer, channels, inner).reshape(-1)


_TENSORS = "Tensor current, Tensor weight, Tensor bias"

norm_lif_op = define(
    "norm_lif",
    f"({_TENSORS}, Tensor? mean, Tensor? variance, {STATE}, {NEURON}, int inner, float eps)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    forward,
    forward_fake,
)
norm_lif_backward_op = define(
    "norm_lif_backward",
    f"({_TENSORS}, Tensor mean, Tensor variance, {STATE}, {NEURON}, int inner, float eps,"
    f" bool from_batch, {GRADIENTS}) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
    backward,
    backward_fake,
)


def keep(inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Pick what `backward` takes before the gradients."""
    # Beside the input, backward needs only the moments: it computes membranes and spikes again.
    return *inputs[:3], *outputs[3:], *inputs[5:], inputs[3] is None


run_norm_lif = differentiate(
    norm_lif_op, norm_lif_backward_op, keep=keep, tensors=8, learned=(0, 1, 2, 5, 6, 7)
)
