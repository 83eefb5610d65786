"""How spike queries, keys and values meet: the inside of `SpikingAttention`.

Every mechanism takes spikes of shape (batch, timesteps, tokens, heads, channels of a head) and
returns the same shape. `b t n h d` below stand for those axes. None of them has a softmax: spikes
are non-negative already.

The mechanisms here are those of `ops.spike_attention`, which has the neurons inside. Where neurons
say that they must be called (`SpikingNeuron.dynamics`), they are, on the same current.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from spikeformer.error_handling import ArgumentError, SpikingDynamicsError, check_positive
from spikeformer.models.memory import TokenMemory
from spikeformer.models.stem import SpikePool, by_frame, to_frames, to_tokens
from spikeformer.neurons import LifNeuron, NeuronFactory
from spikeformer.ops.spike_attention import (
    attention_current,
    attention_output,
    coincidence,
    spike_attention,
)


class AttentionMechanism(nn.Module, ABC):
    """The part of attention that joins tokens.

    Args:
        neuron: Factory of the spiking neurons inside.
        threshold: Their threshold.
        causal: Let a token see only itself and those before it.
        relative_threshold: Threshold of the neurons here over `threshold`; published models have
            0.5.
    """

    num_projections: ClassVar[int] = 3
    """How many of query, key and value the mechanism reads."""

    def __init__(
        self,
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
        *,
        causal: bool = False,
        relative_threshold: float = 1.0,
    ) -> None:
        super().__init__()
        self.causal = causal
        check_positive("relative_threshold", relative_threshold)
        self.neuron = neuron(threshold=threshold * relative_threshold)

    @abstractmethod
    def forward(self, projections: tuple[Tensor, ...], memory: TokenMemory | None = None) -> Tensor:
        """Return spikes (b, t, n, h, d) from the projections, each (b, t, n, h, d).

        Args:
            projections: Query, key and, where it is read, value.
            memory: What is known of the tokens before these, and is kept for those after; of a
                causal mechanism in evaluation mode. None stands for a whole text.
        """


def _attend(
    layer: AttentionMechanism,
    projections: tuple[Tensor, ...],
    mechanism: str,
    memory: TokenMemory | None,
    *,
    scale: float = 1.0,
) -> Tensor:
    """Run a mechanism of `ops.spike_attention` with the neurons of `layer`."""
    query, key, *rest = projections
    value = rest[0] if rest else None
    options: Any = {
        "mechanism": mechanism,
        "counts": layer.neuron.fires_integers,
        "backend": layer.neuron.backend,
    }
    if memory is not None:
        current = _go_on(layer, query, key, value, mechanism, memory) * scale
        return attention_output(layer.neuron(current), query, key, **options)
    dynamics = layer.neuron.dynamics()
    if dynamics is not None and (value is None or value.shape == key.shape):
        spikes, _ = spike_attention(
            query,
            key,
            value,
            mechanism=mechanism,
            scale=scale,
            causal=layer.causal,
            **dynamics,
        )
        return spikes
    current = attention_current(query, key, value, scale=scale, causal=layer.causal, **options)
    return attention_output(layer.neuron(current), query, key, **options)


def _go_on(
    layer: AttentionMechanism,
    query: Tensor,
    key: Tensor,
    value: Tensor | None,
    mechanism: str,
    memory: TokenMemory,
) -> Tensor:
    """Return the current of tokens that follow those of a memory, and add them to it."""
    if not layer.causal:
        raise ArgumentError("causal", layer.causal, "True, for tokens that come one by one")
    current = attention_current(
        query,
        key,
        value,
        mechanism=mechanism,
        scale=1.0,
        causal=True,
        counts=layer.neuron.fires_integers,
    )
    before, total = memory.read(), None
    if mechanism == "sdsa":
        if before is not None:
            current = current + before.unsqueeze(2)
        total = current[:, :, -1]
    elif mechanism == "ssa":
        assert value is not None
        q, k, v = (x.to(current.dtype) for x in (query, key, value))
        total = torch.einsum("btnhd,btnhe->bthde", k, v)
        if before is not None:
            current = current + torch.einsum("btnhd,bthde->btnhe", q, before)
            total = total + before
    memory.write(total)
    return current


class MechanismFactory(Protocol):
    """Anything that makes a mechanism: its class, or a `functools.partial` of it."""

    def __call__(
        self, neuron: NeuronFactory, threshold: float, *, causal: bool
    ) -> AttentionMechanism:
        """Return a new mechanism."""


class QKTokenAttention(AttentionMechanism):
    r"""Query-key token attention: `LIF(sum_d q)` switches whole tokens of K on or off.

    One gate per head and token, linear in tokens and channels; no value projection. Tokens do not
    see each other here: the convolutions around it do the mixing. On a chip the gate is a LIF
    neuron fed by ones, and the product a coincidence.

    Source: Zhou et al., *QKFormer*, NeurIPS 2024, arXiv:2403.16552.
    """

    num_projections: ClassVar[int] = 2

    def forward(self, projections: tuple[Tensor, ...], memory: TokenMemory | None = None) -> Tensor:
        """Return K where the token's gate is open, zero elsewhere."""
        return _attend(self, projections, "qk_token", memory)


class SpikeDrivenAttention(AttentionMechanism):
    r"""Spike-driven self-attention (SDSA): `q * LIF(sum_n k * v)`.

    One gate per head and channel, from a count over tokens; linear in tokens, no products but
    coincidences of spikes. With `causal`, the count runs over the tokens so far.

    Source: Yao et al., *Spike-driven Transformer*, NeurIPS 2023, arXiv:2307.01694.
    """

    def forward(self, projections: tuple[Tensor, ...], memory: TokenMemory | None = None) -> Tensor:
        """Return Q where the channel's gate is open, zero elsewhere."""
        return _attend(self, projections, "sdsa", memory)


class ChannelGate(AttentionMechanism):
    """The second half of spike-driven self-attention: `q * LIF(sum_n m)`, m the matches `k * v`.

    Source: as of `SpikeDrivenAttention`.
    """

    num_projections: ClassVar[int] = 2

    def forward(self, projections: tuple[Tensor, ...], memory: TokenMemory | None = None) -> Tensor:
        """Return Q where the channel's gate is open, from Q and the matches."""
        query, match = projections
        wide = torch.promote_types(match.dtype, torch.float32)
        fired = self.neuron(match.sum(dim=2, keepdim=True, dtype=wide))
        return attention_output(
            fired, query, match, mechanism="sdsa", counts=self.neuron.fires_integers
        )


class PooledSpikeDrivenAttention(AttentionMechanism):
    r"""Spike-driven self-attention for events: `p(q * LIF(sum_n p(p(k) * p(v))))`.

    `p` is the maximum of 3x3 neighbours, which is an OR of spikes. Keys and values have theirs on
    the token grid; products, as in the authors' code, among tokens (in their order) and channels of
    a head.

    Args:
        neuron: Factory of the spiking neurons inside.
        threshold: Their threshold.
        causal: False: the grid has no order.
        relative_threshold: Threshold of the neurons here over `threshold`.

    Attributes:
        grid_size: Height and width of the token grid; the model that makes the layer sets it.

    Source: Yao et al., *Spike-driven Transformer*, NeurIPS 2023, arXiv:2307.01694, its network for
    CIFAR10-DVS.
    """

    def __init__(
        self,
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
        *,
        causal: bool = False,
        relative_threshold: float = 1.0,
    ) -> None:
        nn.Module.__init__(self)  # `gate` has the neuron
        if causal:
            raise ArgumentError("causal", causal, "False, for neighbours on a grid")
        self.causal = False
        self.grid_size = (1, 1)
        self.gate = ChannelGate(neuron, threshold, relative_threshold=relative_threshold)
        self.pool = SpikePool(stride=1)

    def forward(self, projections: tuple[Tensor, ...], memory: TokenMemory | None = None) -> Tensor:
        """Return the pooled spikes of Q where the channel's gate is open."""
        query, key, value = projections
        height, width = self.grid_size
        if memory is not None or query.shape[2] != height * width:
            raise SpikingDynamicsError(
                f"Expected {height} x {width} tokens, all at once, but got {query.shape[2]}."
            )
        key, value = self._pooled_on_grid(key), self._pooled_on_grid(value)
        match = coincidence(key, value, counts=self.gate.neuron.fires_integers)
        return self._pooled(self.gate((query, self._pooled(match))))

    def _pooled_on_grid(self, x: Tensor) -> Tensor:
        """Pool (b, t, n, h, d) on the grid of the n tokens."""
        frames = to_frames(x.flatten(3), *self.grid_size)
        return to_tokens(by_frame(self.pool, frames)).view(x.shape)

    def _pooled(self, x: Tensor) -> Tensor:
        """Pool (b, t, n, h, d) among n and d."""
        return by_frame(self.pool, x.transpose(2, 3)).transpose(2, 3)


class SpikingSelfAttention(AttentionMechanism):
    r"""Spiking self-attention (SSA): `LIF(q k^T v * scale)` without softmax.

    The cheaper order is taken, `(q k^T) v` or `q (k^T v)`; with `causal` it is always the first.
    It multiplies two tensors that both change at run time, which no neuromorphic chip does.

    Args:
        neuron: Factory of the spiking neurons inside.
        threshold: Their threshold.
        causal: Let a token see only itself and those before it.
        relative_threshold: Threshold of the neurons here over `threshold`.
        scale: Factor on the attended values.
        by_channels: Divide `scale` by the root of the channels of a head.

    Source: Zhou et al., *Spikformer*, ICLR 2023, arXiv:2209.15425.
    """

    def __init__(
        self,
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
        *,
        causal: bool = False,
        relative_threshold: float = 1.0,
        scale: float = 0.125,
        by_channels: bool = False,
    ) -> None:
        super().__init__(neuron, threshold, causal=causal, relative_threshold=relative_threshold)
        self.scale = check_positive("scale", scale)
        self.by_channels = by_channels

    def forward(self, projections: tuple[Tensor, ...], memory: TokenMemory | None = None) -> Tensor:
        """Return the spikes fired by attended values."""
        channels = projections[0].shape[-1]
        scale = self.scale / channels**0.5 if self.by_channels else self.scale
        return _attend(self, projections, "ssa", memory, scale=scale)


def zero_padding(x: Tensor, mask: Tensor | None) -> Tensor:
    """Silence padding tokens; `x` is (b, t, n, ...), `mask` (b, n) is True at real tokens."""
    if mask is None:
        return x
    return x * mask.to(x.dtype).view(mask.shape[0], 1, mask.shape[1], *[1] * (x.ndim - 3))
