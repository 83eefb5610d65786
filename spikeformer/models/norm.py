"""Normalisation of currents: of tokens, and of the frames in the stem."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from spikeformer.error_handling import check_choice
from spikeformer.models.layers import SpikeConv2d, SpikeLinear
from spikeformer.models.shared_norm import normalise, trains_with_others
from spikeformer.neurons import LifState, Norm, SpikingNeuron
from spikeformer.neurons.base import is_plain_call
from spikeformer.ops import lif, norm_lif, norm_pool
from spikeformer.ops.recomputing import (
    Recipe,
    keeping_recipe,
    keeping_recipes,
    kept,
    recipe_of,
    with_recipe,
)
from spikeformer.ops.registration import watched
from spikeformer.ops.spike_pack import SpikeLayout, spike_pack, spike_unpack

NORMS = ("batch", "layer")
RECOMPUTED = ("none", "hidden", "all")


class _BatchNormThenLif(nn.modules.batchnorm._BatchNorm):
    """Batch norm that can be computed while a LIF neuron reads its input."""

    channel_axis: ClassVar[int]

    over_processes: bool = False
    """Take the statistics over all processes that train together (`share_batch_norms`)."""

    recompute: bool = False
    """Compute input and output again in backward, not keep them (`recompute_currents`)."""

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

    def _normed(self, x: Tensor, last: int) -> Tensor:
        """Do what torch's module does with the axes up to `last` as one."""
        recipe = recipe_of(x) if self.recompute else None
        if recipe is None:
            return super().forward(x.flatten(0, last)).view(x.shape)
        with keeping_recipe(x):
            y = super().forward(x.flatten(0, last)).view(x.shape)
        options = self.weight, self.bias, self.training, 0.0, self.eps

        def again() -> Tensor:
            given = recipe()
            return batch_norm(given.flatten(0, last), None, None, *options).view(given.shape)

        return with_recipe(y, Recipe(again, recipe)) if self.training else y

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
        return self._normed(x, 1)

    def pooled(self, x: Tensor, pool: nn.MaxPool2d, *, backend: str) -> Tensor:
        """Normalise as `forward`, then halve every frame by `pool`, the maximum of 3x3 neighbours.

        In one operation, except where somebody follows what the two modules do.
        """
        alone = is_plain_call(self) and is_plain_call(pool) and not watched((x,))
        if alone and _halves(pool) and backend != "reference" and not self._joins_others:
            with keeping_recipe(x) if self.recompute else nullcontext():
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

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalise `x`; `mask` (batch, tokens) is True at real tokens, None if all are real."""
        if self.training and (mask is not None or self._joins_others):
            # Weighted sums over all tokens: picking the real ones out and putting them back costs
            # more.
            real = None if mask is None else mask.to(torch.float32)[:, None, :, None]
            return normalise(self, x, self.channel_axis, real, over_processes=self._joins_others)
        return self._normed(x, -2)


class TokenLayerNorm(nn.LayerNorm):
    """Layer norm over the channels of each token; accurate, but no chip supports it."""

    recompute: bool = False
    """As of `TokenBatchNorm`."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalise `x`; `mask` is accepted and not needed, since tokens do not mix."""
        recipe = recipe_of(x) if self.recompute else None
        if recipe is None:
            return super().forward(x)
        with keeping_recipe(x):
            y = super().forward(x)
        norm = super().forward
        return with_recipe(y, Recipe(lambda: norm(recipe()), recipe))


def masked(norm: TokenBatchNorm | TokenLayerNorm, mask: Tensor | None) -> Norm:
    """`norm` for tokens with a mask: itself where padding makes no difference."""
    return norm if mask is None or not norm.training else partial(norm, mask=mask)


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
    current = dropped(norm(current, mask), dropout)
    return current if neuron is None else neuron(current)


def dropped(x: Tensor, dropout: nn.Dropout) -> Tensor:
    """Return `dropout(x)`; where `x` has a recipe keep bits of what is left, on CPUs."""
    recipe = recipe_of(x)
    if recipe is None or not (dropout.training and dropout.p) or x.device.type != "cpu":
        return dropout(x)
    noise: list[Tensor] = []
    shape = x.shape

    def find(saved: Tensor) -> Callable[[], Tensor] | None:
        if saved.shape != shape:  # all are dropped
            return None
        noise.append(saved)
        return lambda: factors()

    with keeping_recipes(find):
        y = dropout(x)
    if not noise:
        return y
    rest, layout, bits = 1 - dropout.p, SpikeLayout.of(noise[0]), kept(spike_pack(noise.pop()))

    def factors() -> Tensor:
        return spike_unpack(bits(), layout).div_(rest)

    return with_recipe(y, Recipe(lambda: recipe() * factors(), recipe.source))


def recompute_currents(net: nn.Module, recompute: str = "all") -> None:
    """Let `net` compute currents again in backward, instead of keeping them for it.

    Takes memory from a training step and adds products. Kept are bits of spikes, one for each spike
    and timestep. Outputs and gradients do not change.

    - "hidden": currents that one neuron reads, those of the MLP's hidden layer and of attention's
      projections, at the price of one more product for each.
    - "all": those at the end of a branch too, and the residual stream, a chain of sums of them. In
      chains of up to 16 that takes at most three more products for each.

    Kept as before are currents of layers whose input is no binary spikes, those of padded tokens
    and of norms over several processes, those behind dropout on GPUs, and all of a compiled
    network.

    Args:
        net: The network, changed in place.
        recompute: One of `RECOMPUTED`; "none" keeps all again.

    Raises:
        ArgumentError: `recompute` is something else.
    """
    check_choice("recompute", recompute, RECOMPUTED)
    for module in net.modules():
        if isinstance(module, (SpikeLinear, SpikeConv2d)):
            module.recompute = recompute != "none"
        elif isinstance(module, (_BatchNormThenLif, TokenLayerNorm)):
            module.recompute = recompute == "all"


def token_norm(kind: str, channels: int) -> TokenBatchNorm | TokenLayerNorm:
    """Return the normalisation called "batch" or "layer" for so many channels."""
    check_choice("norm", kind, NORMS)
    return TokenBatchNorm(channels) if kind == "batch" else TokenLayerNorm(channels)
