"""The transformer block and its two kinds of residual connection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, Self

from torch import Tensor, nn

from spikeformer.error_handling import (
    ArgumentError,
    check_choice,
    check_interval,
    check_positive,
    check_positive_int,
)
from spikeformer.models.attention import AttentionFactory, SpikingAttention
from spikeformer.models.layers import SpikeLinear
from spikeformer.models.memory import TokenMemory
from spikeformer.models.norm import currents_or_spikes, masked, token_norm
from spikeformer.neurons import LifNeuron, NeuronFactory, SpikingNeuron
from spikeformer.neurons.base import is_plain_call
from spikeformer.ops.recomputing import added, without_recipe

RESIDUALS = ("membrane", "sew")
OUTPUTS = ("spikes", "pooled", "currents")


class SpikingMLP(nn.Module):
    """Two dense layers with a spiking neuron between: spikes in, currents out.

    Args:
        dim: Channels of a token.
        hidden_dim: Channels between the two layers.
        dropout: Probability of dropping an output current while training.
        neuron: Factory of the spiking neurons.
        threshold: Their threshold.
        norm: "batch" or "layer".
        binary_input: Promise that inputs are exactly 0 or 1, so that training keeps one bit each.
    """

    def __init__(
        self,
        dim: int,
        hidden_dim: int,
        dropout: float = 0.0,
        *,
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
        norm: str = "batch",
        binary_input: bool = False,
    ) -> None:
        super().__init__()
        bias = norm != "batch"
        self.neuron = neuron(threshold=threshold)
        backend = self.neuron.backend
        self.expand = SpikeLinear(dim, hidden_dim, bias, binary=binary_input, backend=backend)
        self.expand_norm = token_norm(norm, hidden_dim)
        binary = self.neuron.binary
        self.contract = SpikeLinear(hidden_dim, dim, bias, binary=binary, backend=backend)
        self.contract_norm = token_norm(norm, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        *,
        neuron: SpikingNeuron | None = None,
        stream: Tensor | None = None,
    ) -> Tensor:
        """Map spikes (batch, timesteps, tokens, dim) to currents, or to what `neuron` fires.

        Args:
            x: Spikes.
            mask: True at real tokens, shape (batch, tokens); None if all are.
            neuron: Fires at the output's currents.
            stream: Currents that fired `x`, to be added behind each of the two layers; needs
                `hidden_dim` = `dim`, and no `neuron`.
        """
        if stream is not None:
            hidden_current = added(stream, self.expand_norm(self.expand(x), mask))
            current = self.contract(self.neuron(hidden_current))
            branch = currents_or_spikes(current, self.contract_norm, self.dropout, mask, None)
            return added(hidden_current, branch)
        hidden = self.neuron(self.expand(x), norm=masked(self.expand_norm, mask))
        current = self.contract(hidden)
        return currents_or_spikes(current, self.contract_norm, self.dropout, mask, neuron)


class MlpFactory(Protocol):
    """Anything that makes the second half of a block: `SpikingMLP`, `ConvMLP` or a partial."""

    def __call__(
        self,
        dim: int,
        hidden_dim: int,
        dropout: float,
        *,
        neuron: NeuronFactory,
        threshold: float,
        norm: str,
        binary_input: bool,
    ) -> nn.Module:
        """Return a new layer."""


class SpikingBlock(nn.Module):
    r"""Attention and MLP, each with a residual connection.

    - `residual="membrane"` (membrane shortcut): currents add before the neuron,
      `x = x + f(LIF(x))`. Everything between layers is binary.
    - `residual="sew"` (spike-element-wise): spikes add after the neuron, `s = s + LIF(f(s))`.
      Messages are small integers.

    Args:
        dim: Channels of a token.
        num_heads: Number of attention heads.
        timesteps: Number of timesteps.
        mlp_ratio: Width of the MLP's hidden layer over `dim`.
        dropout: Probability of dropping an output current of the MLP while training.
        attention: Factory of the layer that mixes tokens; None is a block without one.
        local: Factory of one more such layer in front, with a residual connection of its own.
        mlp: Factory of the MLP.
        neuron: Factory of the spiking neurons.
        threshold: Their threshold.
        residual: "membrane" or "sew".
        norm: "batch" or "layer".
        causal: Let a token see only itself and those before it.
        mlp_shortcut: Add the residual stream behind each of the MLP's two layers, not only behind
            both; for `mlp_ratio=1` and the residual "membrane".

    Source: membrane shortcut, Hu et al., 2021, arXiv:2112.08954; SEW, Fang et al., NeurIPS 2021,
    arXiv:2102.04159.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        timesteps: int,
        *,
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        attention: AttentionFactory | None = SpikingAttention,
        local: AttentionFactory | None = None,
        mlp: MlpFactory = SpikingMLP,
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
        residual: str = "membrane",
        norm: str = "batch",
        causal: bool = False,
        mlp_shortcut: bool = False,
    ) -> None:
        super().__init__()
        if mlp_shortcut and (residual != "membrane" or round(dim * mlp_ratio) != dim):
            expected = 'False, or mlp_ratio=1 and the residual "membrane"'
            raise ArgumentError("mlp_shortcut", mlp_shortcut, expected)
        self.mlp_shortcut = mlp_shortcut
        self.residual = check_choice("residual", residual, RESIDUALS)
        check_positive("mlp_ratio", mlp_ratio)
        check_interval("dropout", dropout, 0.0, 1.0)
        mlp_neuron = neuron(threshold=threshold)
        # "sew" adds spikes up: its branches take integers, not bits.
        binary_input = residual == "membrane" and mlp_neuron.binary
        shared: dict[str, Any] = {
            "neuron": neuron,
            "threshold": threshold,
            "norm": norm,
            "binary_input": binary_input,
        }
        self.local_neuron: SpikingNeuron | None = None
        self.local: nn.Module | None = None
        if local is not None:
            self.local_neuron = neuron(threshold=threshold)
            self.local = local(dim, num_heads, timesteps, causal=causal, **shared)
        self.attention_neuron: SpikingNeuron | None = None
        self.attention: SpikingAttention | None = None
        if attention is not None:
            self.attention_neuron = neuron(threshold=threshold)
            self.attention = attention(dim, num_heads, timesteps, causal=causal, **shared)
        self.mlp_neuron = mlp_neuron
        self.mlp = mlp(dim, round(dim * mlp_ratio), dropout, **shared)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, memory: TokenMemory | None = None
    ) -> Tensor:
        """Map (batch, timesteps, tokens, dim) to the same shape: currents, or spikes for "sew"."""
        kept: dict[str, Any] = {} if memory is None else {"memory": memory}
        membrane = self.residual == "membrane"
        if self.local is not None and self.local_neuron is not None:
            if membrane:
                x = added(x, self.local(self.local_neuron(x), mask))
            else:
                x = x + self.local(x, mask, neuron=self.local_neuron)
        if self.attention is not None and self.attention_neuron is not None:
            if membrane:
                x = added(x, self.attention(self.attention_neuron(x), mask, **kept))
            else:
                x = x + self.attention(x, mask, neuron=self.attention_neuron, **kept)
        if self.mlp_shortcut:
            streamed: Tensor = self.mlp(self.mlp_neuron(x), mask, stream=x)
            return streamed
        branch: Tensor = (
            self.mlp(self.mlp_neuron(x), mask)
            if membrane
            else self.mlp(x, mask, neuron=self.mlp_neuron)
        )
        return added(x, branch)


class BlockStack(nn.Module):
    """Blocks between an embedding that gives currents and a head that takes spikes.

    Args:
        blocks: The blocks in order, all with the same `residual`; may be empty.
        neuron: Turns currents to spikes: after the blocks for "membrane", before them for "sew";
            None if the blocks have residual "sew" and the embedding gives spikes already, or if
            currents are to be handed on.
        pool: Average over tokens after the blocks, before the neuron: one token is left.
    """

    def __init__(
        self, blocks: Iterable[SpikingBlock], neuron: SpikingNeuron | None, *, pool: bool = False
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.neuron = neuron
        self.pool = pool
        self.fires_first = any(block.residual == "sew" for block in self.blocks)

    @classmethod
    def of(
        cls,
        num_layers: int,
        dim: int,
        num_heads: int,
        timesteps: int,
        *,
        neuron: NeuronFactory,
        threshold: float,
        residual: str,
        embedding_fires: bool = False,
        output: str = "spikes",
        **options: Any,
    ) -> Self:
        """Make the blocks of a model, all alike, and their neuron.

        Args:
            num_layers: Number of blocks.
            dim: Channels of a token.
            num_heads: Number of attention heads.
            timesteps: Number of timesteps.
            neuron: Factory of the spiking neurons.
            threshold: Their threshold.
            residual: "membrane" or "sew".
            embedding_fires: Whether the embedding gives spikes rather than currents.
            output: "spikes"; "pooled", the spikes that the mean over tokens fires, as one token;
                or "currents". The last two are for the residual "membrane".
            **options: Further arguments of `SpikingBlock`.
        """
        shared = {"neuron": neuron, "threshold": threshold, "residual": residual, **options}
        blocks = [
            SpikingBlock(dim, num_heads, timesteps, **shared)
            for _ in range(check_positive_int("num_layers", num_layers))
        ]
        check_output(output, residual)
        needs_none = (embedding_fires and residual == "sew") or output == "currents"
        last = None if needs_none else neuron(threshold=threshold)
        return cls(blocks, last, pool=output == "pooled")

    def forward(
        self, x: Tensor, mask: Tensor | None = None, memory: TokenMemory | None = None
    ) -> Tensor:
        """Map currents (batch, timesteps, tokens, dim) to spikes of the same shape."""
        kept = () if memory is None else (memory,)
        if self.fires_first and self.neuron is not None:
            x = self.neuron(x)
        for block in self.blocks:
            x = block(x, mask, *kept)
            if not is_plain_call(block):
                # Hooks may have weights there for no longer than the block runs, as FSDP has.
                x = without_recipe(x)
        if self.pool:
            x = x.mean(dim=2, keepdim=True)
        return x if self.fires_first or self.neuron is None else self.neuron(x)


def check_output(output: str, residual: str) -> None:
    """Refuse an output that is none, or that the residual connection does not have.

    Raises:
        ArgumentError: It is unknown, or reads currents where there are none.
    """
    check_choice("output", output, OUTPUTS)
    if residual == "sew" and output != "spikes":
        expected = '"spikes" with the residual "sew", whose stream holds no currents'
        raise ArgumentError("output", output, expected)
