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
        real = mask.unsqueeze(1).expand(x.shape[:-1])
        # Padding is left as it is: nothing downstream reads it.
        return torch.masked_scatter(x, real.unsqueeze(-1), super().forward(x[real]).to(x.dtype))


class TokenLayerNorm(nn.LayerNorm):
    """Layer norm over the channels of each token; accurate, but it has no place on a chip."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalise `x`; `mask` is accepted and not needed, since tokens do not mix."""
        return super().forward(x)


def token_norm(kind: str, channels: int) -> TokenBatchNorm | TokenLayerNorm:
    """Return the normalisation called "batch" or "layer" for so many channels."""
    check_choice("norm", kind, NORMS)
    return TokenBatchNorm(channels) if kind == "batch" else TokenLayerNorm(channels)
