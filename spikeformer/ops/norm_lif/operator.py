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
from spikeformer.ops.layout import BLOCK, as_rows, empty_rows_like
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

_ROW, _SHORT_ROW = 512, 256
"""Features of a row at most, and so few that starting on a row takes longer than it does.

A row of each of batch norm's numbers, of the membrane, the current and the spikes are in the cache
together; with twice as many, a processor that shares its cache loses them.
"""


def forward(
    current: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor | None,
    variance: Tensor | None,
    *others: Any,
) -> tuple[Tensor, ...]:
    """What `lif` returns, and the mean and variance used."""
    membrane, adaptation, *neuron, inner, eps, keep_membrane = others
    dynamics = Dynamics.of_operator(*neuron)
    if mean is None or variance is None:
        mean, variance = moments(current, weight.numel(), inner, dynamics.backend)
    else:
        mean, variance = (x.to(torch.float32, copy=True) for x in (mean, variance))
    scale = weight * torch.rsqrt(variance + eps)
    width = _row_width(current, weight.numel(), inner) if current.shape[1] == 1 else None
    rows, *state = _in_rows(width, current, membrane, adaptation)
    center, factor, offset = (_by_feature(x, rows, inner) for x in (mean, scale, bias))
    affine = center, factor, offset
    spikes, *final = lif_forward(rows, state, dynamics, affine, keep_membrane=keep_membrane)
    if width:
        spikes = spikes.view_as(current)
        final = [x.view(current.shape[::2]) if x.numel() else x for x in final]
    return spikes, *final, mean, variance


def forward_fake(
    current: Tensor, weight: Tensor, bias: Tensor, mean: Any, variance: Any, *others: Any
) -> tuple[Tensor, ...]:
    """What `forward` returns, without values."""
    outputs = empty_outputs(current, others[:2], keep_membrane=others[-1])
    return *outputs, *float32_like(weight, weight, weight)


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
    width = _row_width(current, weight.numel(), inner) if current.shape[1] == 1 else None
    rows, *state = _in_rows(width, current, membrane, adaptation)
    grad_spikes, *grad_state = _in_rows(width, grad_spikes, *others[-2:])
    center, factor, offset = (_by_feature(x, rows, inner) for x in (mean, scale, bias))
    grad_current, *grad_neuron, sums = lif_backward(
        rows, state, dynamics, grad_spikes, grad_state, (center, factor, offset)
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
            as_rows(rows),
            center,
            factor,
            *(_by_feature(x, rows, inner) for x in (shift, tilt)),
        )
    if width:
        grad_current = grad_current.view_as(current)
        grad_neuron[:2] = [x.view(current.shape[::2]) if x.numel() else x for x in grad_neuron[:2]]
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
    (rows,) = _in_rows(_row_width(current, channels, inner), current)
    sums = load_kernels("norm_lif", backend).sums_around(
        as_rows(rows), _by_feature(around, rows, inner)
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


def _row_width(current: Tensor, channels: int, inner: int) -> int | None:
    """Features of rows of a few tokens, whose channels' numbers stay in the cache from row to row.

    None where memory is not one token after another, and on GPUs.
    """
    _, timesteps, features = current.shape
    dense = current.stride() == (timesteps * features, features, 1)
    if inner != 1 or not current.numel() or not dense or current.device.type != "cpu":
        return None
    num_tokens = current.numel() // channels
    most = max(1, _ROW // channels)
    width = channels * next(n for n in range(most, 0, -1) if num_tokens % n == 0)
    return width if width >= min(_SHORT_ROW, features) else None


def _in_rows(width: int | None, *tensors: Tensor | None) -> list[Any]:
    """(b, t, f) tensors to (rows, 1, width) and (b, f) to (rows, width); None leaves all alone."""
    if width is None:
        return list(tensors)
    shapes = {2: (-1, width), 3: (-1, 1, width)}
    return [x if x is None or not x.numel() else x.reshape(shapes[x.dim()]) for x in tensors]


def _by_feature(by_channel: Tensor, current: Tensor, inner: int) -> Tensor:
    """One number a channel, (channels,), to one a feature, (f,).

    On CPUs to those of a few tokens where all have the same, so that they stay in the cache.
    """
    channels = by_channel.numel()
    if channels == current.shape[2]:
        return by_channel.detach().float()
    outer = current.shape[2] // max(1, channels * inner)
    if inner == 1 and 0 < channels <= BLOCK and current.device.type == "cpu":
        outer = min(outer, max(1, _ROW // channels))
    numbers = by_channel.detach().float().view(1, -1, 1).expand(outer, channels, inner)
    return numbers.contiguous().view(-1)  # one channel's could else be a single number in memory


_TENSORS = "Tensor current, Tensor weight, Tensor bias"

norm_lif_op = define(
    "norm_lif",
    f"({_TENSORS}, Tensor? mean, Tensor? variance, {STATE}, {NEURON}, int inner, float eps,"
    " bool keep_membrane)"
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
    return *inputs[:3], *outputs[3:], *inputs[5:-1], inputs[3] is None


run_norm_lif = differentiate(
    norm_lif_op, norm_lif_backward_op, keep=keep, tensors=8, learned=(0, 1, 2, 5, 6, 7)
)
