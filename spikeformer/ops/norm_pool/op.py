"""The public function `norm_pool`, and its gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikeformer.error_handling import ArgumentError
from spikeformer.ops.dispatch import load_kernels, resolve_backend
from spikeformer.ops.norm_lif.op import check_channels
from spikeformer.ops.norm_lif.operator import follow, moments
from spikeformer.ops.norm_pool.reference import norm_pool_reference
from spikeformer.ops.registration import watched


def norm_pool(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    *,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
    backend: str = "auto",
) -> Tensor:
    """Batch norm of each channel, then the maximum of 3x3 neighbours at every second pixel.

        y = weight (x - mean) / sqrt(variance + eps) + bias
        out[i, j] = max of y[2 i - 1 : 2 i + 2, 2 j - 1 : 2 j + 2]

    While training, mean and variance are those of `x`, and the running statistics move towards them
    in place, as in `torch.nn.BatchNorm2d`; otherwise they are the running ones. The normalised
    picture exists in registers only, and backward keeps `x` alone: it looks for the maxima again.

    Args:
        x: Pictures, (batch, channels, height, width); read in place where channels lie last.
        weight: Factor of each channel, (channels,).
        bias: Summand of each channel, (channels,).
        running_mean: Running mean of each channel, (channels,); updated while training.
        running_var: Running unbiased variance of each channel, (channels,); updated too.
        training: Normalise by the batch's statistics rather than by the running ones.
        momentum: Share of the batch in the running statistics.
        eps: Added to the variance.
        backend: One of `BACKENDS`; "auto" picks by device. What torch traces is the reference.

    Returns:
        Maxima, (batch, channels, ceil(height / 2), ceil(width / 2)), in the dtype of `x`.

    Raises:
        ArgumentError: If `x` is no picture, a channel vector does not fit, or there is but one
            value a channel while training.
        BackendUnavailableError: If an explicit backend cannot run on the device of `x`.

    References:
        Ioffe & Szegedy 2015, arXiv:1502.03167.

    Example:
        >>> x = torch.arange(16.0).view(1, 1, 4, 4)
        >>> one, zero = torch.ones(1), torch.zeros(1)
        >>> norm_pool(x, one, zero, zero, one, training=False, eps=0.0).flatten().tolist()
        [5.0, 7.0, 13.0, 15.0]
    """
    _check(x, weight, bias, running_mean, running_var)
    count = x.numel() // max(1, x.shape[1])
    if training and count == 1:
        got = tuple(x.shape)
        raise ArgumentError("x", got, "more than one value a channel while training")
    kernel = resolve_backend(backend, x.device, op="norm_pool", dtype=x.dtype)
    if kernel == "reference" or not count or watched((x, weight, bias)):
        return norm_pool_reference(
            x,
            weight,
            bias,
            running_mean,
            running_var,
            training=training,
            momentum=momentum,
            eps=eps,
        )
    rows = x.permute(0, 2, 3, 1).contiguous()
    if not training:
        used = tuple(x.to(torch.float32, copy=True) for x in (running_mean, running_var))
    else:
        used = moments(rows.detach().flatten(1, 2), x.shape[1], 1, kernel)
        follow((running_mean, running_var), used, count, momentum)
    out: Tensor = _NormPool.apply(rows, weight, bias, *used, eps, training, kernel)  # type: ignore[no-untyped-call]
    return out.permute(0, 3, 1, 2)


def _check(x: Tensor, *vectors: Tensor) -> None:
    if x.dim() != 4 or not x.is_floating_point():
        expected = "a floating-point tensor (batch, channels, height, width)"
        raise ArgumentError("x", f"{tuple(x.shape)} {x.dtype}", expected)
    names = ("weight", "bias", "running_mean", "running_var")
    check_channels(x.shape[1], dict(zip(names, vectors, strict=True)))


class _NormPool(torch.autograd.Function):
    """`norm_pool` of pictures with channels last, by given moments.

    With y the normalised pictures and dy their gradient, that of `out` at the maxima and zero
    elsewhere, the gradients are those of `norm_lif`.
    """

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        eps: float,
        from_batch: bool,
        backend: str,
    ) -> Tensor:
        inverse_std = torch.rsqrt(variance + eps)
        ctx.save_for_backward(rows, weight, mean, inverse_std)
        ctx.from_batch, ctx.backend = from_batch, backend
        kernels = load_kernels("norm_pool", backend)
        out: Tensor = kernels.forward(rows, mean, weight.float() * inverse_std, bias)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, mean, inverse_std = ctx.saved_tensors
        grad_rows, total, product = load_kernels("norm_pool", ctx.backend).backward(
            rows, mean, weight.float() * inverse_std, inverse_std, grad, ctx.from_batch
        )
        return grad_rows, product * inverse_std, total, None, None, None, None, None
