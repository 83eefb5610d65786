"""Batch norm and pooling in plain torch: the definition that every kernel is tested against."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def norm_pool_reference(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    *,
    training: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    """Normalise each channel, then take the maximum of 3x3 neighbours at every second pixel.

    Args:
        x: Pictures, (batch, channels, height, width).
        weight: Factor of each channel.
        bias: Summand of each channel.
        running_mean: Running mean of each channel, updated in place while training.
        running_var: Running unbiased variance of each channel, updated too.
        training: Normalise by the batch's statistics rather than by the running ones.
        momentum: Share of the batch in the running statistics.
        eps: Added to the variance.
    """
    normed = F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    return F.max_pool2d(normed, 3, 2, 1)
