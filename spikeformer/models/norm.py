"""Normalisation of currents: of tokens, and of the frames in the stem."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from spikeformer.error_handling import check_choice
from spikeformer.models.layers import SpikeLinear
from spikeformer.models.shared_norm import normalise, trains_with_others
from spikeformer.neurons import LifState, Norm, SpikingNeuron
from spikeformer.neurons.base import is_plain_call
from spikeformer.ops import lif, linear_norm_lif, norm_lif, norm_pool
from spikeformer.ops.registration import watched

NORMS = ("batch", "layer")


class _BatchNormThenLif(nn.modules.batchnorm._BatchNorm):
    """Batch norm that can be computed while a LIF neuron reads its input."""

    channel_axis: ClassVar[int]

    over_processes: bool = False
    """Take the statistics over all processes that train together (`share_batch_norms`)."""

    @property
    def _joins_others(self) -> bool:
        return self.over_processes and self.training and trains_with_others()

    def lif(
        self, current: Tensor, state: LifState | None, **neuron: Any
    ) -> tuple[Tensor, LifState]:
        """Normalise `current`, (batch, timesteps, ...), and let the described neuron fire.

        Without a state on CPUs, the one returned has no membrane: nobody asked for it.
        """
        if self._joins_others:
            return lif(self(current), state, **neuron)
        options = {**self._options(), "channel_axis": self.channel_axis}
        return norm_lif(current, state, with_state=state is not None, **options, **neuron)

    def _options(self) -> dict[str, Any]:
        """What ops with batch norm inside take; while training, counts the batch."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        momentum = self.momentum
        if self.training:
            self.num_batches_tracked.add_(1)
        if momentum is None:  # torch's cumulative average
            momentum = 1.0 / max(1, int(self.num_batches_tracked))
        return {
            "weight": self.weight,
            "bias": self.bias,
            "running_mean": self.running_mean,
            "running_var": self.running_var,
            "training": self.training,
            "momentum": momentum,
            "eps": self.eps,
        }


class FrameBatchNorm(_BatchNormThenLif, nn.BatchNorm2d):
    """Batch norm of each channel over batch, timesteps, height and width."""

    channel_axis: ClassVar[int] = 2

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (batch, timesteps, channels, height, width)."""
        if self._joins_others:
            return normalise(self, x, self.channel_axis, over_processes=True)
        frames: Tensor = super().forward(x.flatten(0, 1))
        return frames.view(*x.shape[:2], *frames.shape[1:])

    def pooled(self, x: Tensor, pool: nn.MaxPool2d, *, backend: str) -> Tensor:
        """Normalise as `forward`, then halve every frame by `pool`, the maximum of 3x3 neighbours.

        In one operation, except where somebody follows what the two modules do.
        """
        alone = is_plain_call(self) and is_plain_call(pool) and not watched((x,))
        if alone and _halves(pool) and backend != "reference" and not self._joins_others:
            frames = norm_pool(x.flatten(0, 1), **self._options())
        else:
            frames = pool(self(x).flatten(0, 1))
        return frames.view(*x.shape[:2], *frames.shape[1:])


def _halves(pool: nn.Module) -> bool:
    """Whether a layer is the pooling of `norm_pool`; somebody may have put another in its place."""
    if type(pool) is not nn.MaxPool2d or pool.ceil_mode or pool.return_indices:
        return False
    return (pool.kernel_size, pool.stride, pool.padding, pool.dilation) == (3, 2, 1, 1)


class TokenBatchNorm(_BatchNormThenLif, nn.BatchNorm1d):
    """Batch norm of each channel over batch, timesteps and tokens.

    At inference it is an affine map, so it can be folded into the weights before it: what a
    neuromorphic chip needs. Padding takes no part in the statistics.
    """

    channel_axis: ClassVar[int] = -1

    def may_recompute(self, layer: SpikeLinear) -> bool:
        """Whether `layer` wants its currents computed again in backward, and nobody sees them."""
        return (
            layer.recompute
            and layer.binary
            and layer._parameters["bias"] is None
            and self.training
            and torch.is_grad_enabled()
            and not self._joins_others
            and is_plain_call(self)
            and is_plain_call(layer)
        )

    def recomputed(self, layer: SpikeLinear, x: Tensor, **neuron: Any) -> Tensor:
        """Let the described neuron fire at the normalised currents of `layer`, keeping no float."""
        options = self._options()
        del options["training"]
        return linear_norm_lif(x, layer.weight, **options, **neuron)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalise `x`; `mask` (batch, tokens) is True at real tokens, None if all are real."""
        if self.training and (mask is not None or self._joins_others):
            # Weighted sums over all tokens: picking the real ones out and putting them back costs
            # more.
            real = None if mask is None else mask.to(torch.float32)[:, None, :, None]
            return normalise(self, x, self.channel_axis, real, over_processes=self._joins_others)
        return super().forward(x.flatten(0, -2)).view(x.shape)


class TokenLayerNorm(nn.LayerNorm):
    """Layer norm over the channels of each token; accurate, but no chip supports it."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalise `x`; `mask` is accepted and not needed, since tokens do not mix."""
        return super().forward(x)


def masked(norm: TokenBatchNorm | TokenLayerNorm, mask: Tensor | None) -> Norm:
    """`norm` for tokens with a mask: itself where padding makes no difference."""
    return norm if mask is None or not norm.training else partial(norm, mask=mask)


def fired(
    layer: SpikeLinear,
    x: Tensor,
    norm: TokenBatchNorm | TokenLayerNorm,
    neuron: SpikingNeuron,
    mask: Tensor | None,
) -> Tensor:
    """The start of a branch: what `neuron` fires at the normalised currents of `layer`."""
    if mask is None and isinstance(norm, TokenBatchNorm) and norm.may_recompute(layer):
        dynamics = neuron.dynamics()
        if dynamics is not None:
            return norm.recomputed(layer, x, **dynamics)
    return neuron(layer(x), norm=masked(norm, mask))


def currents_or_spikes(
    current: Tensor,
    norm: TokenBatchNorm | TokenLayerNorm,
    dropout: nn.Dropout,
    mask: Tensor | None,
    neuron: SpikingNeuron | None,
) -> Tensor:
    """The end of a branch: normalised currents, or what `neuron` fires at them."""
    if neuron is not None and not (dropout.training and dropout.p):
        return neuron(current, norm=masked(norm, mask))
    current = dropout(norm(current, mask))
    return current if neuron is None else neuron(current)


def token_norm(kind: str, channels: int) -> TokenBatchNorm | TokenLayerNorm:
    """Return the normalisation called "batch" or "layer" for so many channels."""
    check_choice("norm", kind, NORMS)
    return TokenBatchNorm(channels) if kind == "batch" else TokenLayerNorm(channels)
