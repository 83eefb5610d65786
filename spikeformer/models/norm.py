"""Normalisation of token currents, shape (batch, timesteps, tokens, channels)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikeformer.error_handling import check_choice

NORMS = ("batch", "layer")


class TokenBatchNorm(nn.BatchNorm1d):
    """Batch norm of each channel over batch, timesteps and tokens.

    At inference it is an affine map, so it can be folded into the weights before it: what a
    neuromorphic chip needs. Padding takes no part in the statistics.
    """

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalise `x`; `mask` (batch, tokens) is True at real tokens, None if all are real."""
        if mask is None or not self.training:
            return super().forward(x.flatten(0, -2)).view(x.shape)
        return self._normalize_real(x, mask)

    def _normalize_real(self, x: Tensor, mask: Tensor) -> Tensor:
        """Normalise by the statistics of real tokens and keep the running ones up to date.

        Weighted sums over all tokens: picking the real ones out and putting them back costs more.
        """
        real = mask.to(torch.float32)[:, None, :, None]
        count = real.sum() * x.shape[1]
        mean = (x * real).sum(dim=(0, 1, 2)) / count
        centred = x - mean
        variance = (centred.square() * real).sum(dim=(0, 1, 2)) / count
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        with torch.no_grad():
            unbiased = variance * (count / (count - 1).clamp(min=1))
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
            self.num_batches_tracked.add_(1)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale + self.bias).to(x.dtype)


class TokenLayerNorm(nn.LayerNorm):
    """Layer norm over the channels of each token; accurate, but it has no place on a chip."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalise `x`; `mask` is accepted and not needed, since tokens do not mix."""
        return super().forward(x)


def token_norm(kind: str, channels: int) -> TokenBatchNorm | TokenLayerNorm:
    """Return the normalisation called "batch" or "layer" for so many channels."""
    check_choice("norm", kind, NORMS)
    return TokenBatchNorm(channels) if kind == "batch" else TokenLayerNorm(channels)
