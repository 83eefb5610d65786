"""Event-driven attention over spike tokens."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from spikeformer.error_handling import (
    ArgumentError,
    SpikingDynamicsError,
    check_divisible,
    check_interval,
    check_positive_int,
)
from spikeformer.models.layers import SpikeLinear
from spikeformer.models.mechanisms import MechanismFactory, SpikingSelfAttention, zero_padding
from spikeformer.models.memory import TokenMemory
from spikeformer.models.norm import currents_or_spikes, masked, token_norm
from spikeformer.models.rep_linear import RepLinear
from spikeformer.neurons import LifNeuron, NeuronFactory, SpikingNeuron


class UnknownSparsityError(SpikingDynamicsError, AttributeError):
    """There is no `sparsity_loss` yet; `hasattr` says no."""


class SpikingAttention(nn.Module):
    r"""Multi-head attention whose queries, keys and values are spikes.

    `x -> LIF(norm(W_qkv x)) -> mechanism -> norm(W_o .)`: spikes in, currents out, ready to be
    added to a residual stream.

    While training, `sparsity_loss` holds `(mean firing rate of Q, K, V - sparsity_target)^2` of
    the last forward pass; add it to the loss to pull firing towards the target
    (`SpikingModule` does so with its `sparsity_weight`).

    Args:
        embed_dim: Channels of a token; divisible by `num_heads`.
        num_heads: Number of attention heads.
        timesteps: Number of timesteps the input has.
        dropout: Probability of dropping an output current while training.
        sparsity_target: Firing rate towards which Q, K and V are pulled, in [0, 1].
        mechanism: Factory of the mechanism: `QKTokenAttention`, `SpikeDrivenAttention` or
            `SpikingSelfAttention`.
        neuron: Factory of the spiking neurons.
        threshold: Their threshold.
        norm: "batch" or "layer".
        causal: Let a token see only itself and those before it.
        binary_input: Promise that inputs are exactly 0 or 1, so that training keeps one bit each.
        value_ratio: Channels of the values over `embed_dim`; above 1 for `SpikingSelfAttention`.
        projection_ratio: Train each projection, and the output's, as two matrices with so many
            channels between, over those of their input (`RepLinear`); None is one matrix.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        timesteps: int = 32,
        dropout: float = 0.1,
        sparsity_target: float = 0.1,
        *,
        mechanism: MechanismFactory = SpikingSelfAttention,
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
        norm: str = "batch",
        causal: bool = False,
        binary_input: bool = False,
        value_ratio: int = 1,
        projection_ratio: float | None = None,
    ) -> None:
        super().__init__()
        self.embed_dim = check_divisible("embed_dim", embed_dim, "num_heads", num_heads)
        self.num_heads = num_heads
        self.timesteps = check_positive_int("timesteps", timesteps)
        self.sparsity_target = check_interval("sparsity_target", sparsity_target, 0.0, 1.0)
        self.mechanism = mechanism(neuron, threshold, causal=causal)
        self.value_ratio = check_positive_int("value_ratio", value_ratio)
        if value_ratio > 1 and not isinstance(self.mechanism, SpikingSelfAttention):
            expected = "1, or SpikingSelfAttention as mechanism"
            raise ArgumentError("value_ratio", value_ratio, expected)
        if projection_ratio is not None and norm != "batch":
            raise ArgumentError("projection_ratio", projection_ratio, 'None where norm="layer"')
        attended = value_ratio * embed_dim
        self._widths = [*[embed_dim] * (self.mechanism.num_projections - 1), attended]
        projected = sum(self._widths)
        self.qkv_neuron = neuron(threshold=threshold)
        bias, backend = norm != "batch", self.qkv_neuron.backend
        # One matrix for Q, K (and V): the same result as three, in one product and one scan.
        self.qkv: nn.Module = (
            SpikeLinear(embed_dim, projected, bias, binary=binary_input, backend=backend)
            if projection_ratio is None
            else RepLinear(
                embed_dim, self._widths, projection_ratio, binary=binary_input, backend=backend
            )
        )
        self.qkv_norm = token_norm(norm, projected)
        binary = self.qkv_neuron.binary
        self.out: nn.Module = (
            SpikeLinear(attended, embed_dim, bias, binary=binary, backend=backend)
            if projection_ratio is None
            else RepLinear(attended, [embed_dim], projection_ratio, binary=binary, backend=backend)
        )
        self.out_norm = token_norm(norm, embed_dim)
        self.dropout = nn.Dropout(check_interval("dropout", dropout, 0.0, 1.0))
        self._sparsity_loss: Tensor | None = None

    @property
    def sparsity_loss(self) -> Tensor:
        """Squared distance of the last training pass's firing rate from the target, a scalar."""
        if self._sparsity_loss is None:
            raise AttributeError
        return self._sparsity_loss

    def __getattr__(self, name: str) -> Any:
        """Say why there is no `sparsity_loss`: Python asks here where a property is absent."""
        if name == "sparsity_loss":
            raise UnknownSparsityError(
                "sparsity_loss is known after a forward pass in training mode; there was none."
            )
        return super().__getattr__(name)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        *,
        neuron: SpikingNeuron | None = None,
        memory: TokenMemory | None = None,
    ) -> Tensor:
        """Attend.

        Args:
            x: Spikes, shape (batch, timesteps, tokens, embed_dim).
            mask: True at real tokens, False at padding, shape (batch, tokens); None if all are.
            neuron: Fires at the output's currents.
            memory: The tokens before these, if the text goes on; these are added.

        Returns:
            Currents of the shape of `x`, or the spikes of `neuron`.

        Raises:
            SpikingDynamicsError: `x` has another shape.
        """
        if x.ndim != 4 or x.shape[1] != self.timesteps or x.shape[3] != self.embed_dim:
            raise SpikingDynamicsError(
                f"Expected spikes of shape (batch, timesteps={self.timesteps}, tokens,"
                f" embed_dim={self.embed_dim}), but got {tuple(x.shape)}."
            )
        if mask is not None:
            if mask.shape != x.shape[::2]:
                raise SpikingDynamicsError(
                    f"Expected a mask of shape (batch, tokens) = {tuple(x.shape[::2])}, but got"
                    f" {tuple(mask.shape)}."
                )
            mask = mask.bool()
        projected = _linear(self.qkv, x, mask)
        spikes = self.qkv_neuron(projected, norm=masked(self.qkv_norm, mask))
        spikes = zero_padding(spikes, mask)
        if self.training:
            self._sparsity_loss = (_rate(spikes, mask) - self.sparsity_target).square()
        parts = torch.split(spikes, self._widths, dim=-1)
        heads = [part.view(*x.shape[:3], self.num_heads, -1) for part in parts]
        # Mechanisms of one's own need not know of memory until text goes on.
        kept = {} if memory is None else {"memory": memory}
        attended = self.mechanism(tuple(heads), **kept)
        current = _linear(self.out, attended.flatten(-2), mask)
        return currents_or_spikes(current, self.out_norm, self.dropout, mask, neuron)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the last loss: a tensor with a graph can be neither copied nor pickled."""
        return {**self.__dict__, "_sparsity_loss": None}


def _linear(layer: nn.Module, x: Tensor, mask: Tensor | None) -> Tensor:
    """Return a layer's currents; a mask goes to the norms inside of `RepLinear`."""
    currents: Tensor = layer(x, mask) if isinstance(layer, RepLinear) else layer(x)
    return currents


def _rate(spikes: Tensor, mask: Tensor | None) -> Tensor:
    """Mean firing rate of real tokens; padding is silent already."""
    rate = spikes.float().mean()
    return rate if mask is None else rate * (mask.numel() / mask.sum().clamp(min=1))


class AttentionFactory(Protocol):
    """Anything that makes an attention layer: `SpikingAttention`, or a partial of it."""

    def __call__(
        self,
        embed_dim: int,
        num_heads: int,
        timesteps: int,
        *,
        neuron: NeuronFactory,
        threshold: float,
        norm: str,
        causal: bool,
        binary_input: bool,
    ) -> SpikingAttention:
        """Return a new attention layer."""


def sparsity_loss(model: nn.Module) -> Tensor | None:
    """Return the mean `sparsity_loss` of all attention layers, or None where there is none."""
    losses = [m.sparsity_loss for m in model.modules() if isinstance(m, SpikingAttention)]
    return torch.stack(losses).mean() if losses else None
