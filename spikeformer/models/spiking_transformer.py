"""The spiking transformer over token ids."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn

from spikeformer.config import Described, SpikingConfig
from spikeformer.error_handling import (
    SpikingDynamicsError,
    check_divisible,
    check_interval,
    check_positive,
    check_positive_int,
)
from spikeformer.models.attention import AttentionFactory, SpikingAttention
from spikeformer.models.block import BlockStack
from spikeformer.models.from_config import model_arguments
from spikeformer.models.mechanisms import SpikingSelfAttention
from spikeformer.models.memory import TokenMemory
from spikeformer.models.norm import token_norm
from spikeformer.neurons import LifNeuron, NeuronFactory

_EMBEDDING_SIZE = 0.02  # standard deviation of a new embedding


class SpikingTransformer(Described, nn.Module):
    """Transformer over token ids that computes with spikes.

    Token and position embeddings enter as a constant current at every timestep (direct coding);
    from the first neuron on, layers exchange spikes.

    Args:
        vocab_size: Size of the vocabulary.
        d_model: Channels of a token.
        nhead: Number of attention heads; divides `d_model`.
        num_layers: Number of blocks.
        timesteps: Number of simulation timesteps.
        threshold: Spiking threshold of every neuron.
        max_length: Longest sequence, in tokens.
        mlp_ratio: Width of the MLP's hidden layer over `d_model`.
        dropout: Probability of dropping an embedding or an output current while training.
        neuron: Factory of the spiking neurons: a class or a `functools.partial` of one.
        attention: Factory of the attention layers.
        residual: "membrane" or "sew".
        norm: "batch" or "layer".
        causal: Let a token see only itself and those before it. Without padding, batch norm's
            training statistics still run over whole sequences; use `norm="layer"` where that
            matters.

    Example:
        >>> import torch
        >>> model = SpikingTransformer(100, d_model=32, nhead=4, num_layers=2, timesteps=4)
        >>> model(torch.randint(100, (2, 7))).shape
        torch.Size([2, 4, 7, 32])
    """

    def __init__(
        self,
        vocab_size: int,
        d_model: int = 512,
        nhead: int = 8,
        num_layers: int = 6,
        timesteps: int = 32,
        threshold: float = 1.0,
        *,
        max_length: int = 512,
        mlp_ratio: float = 4.0,
        dropout: float = 0.1,
        neuron: NeuronFactory = LifNeuron,
        attention: AttentionFactory = SpikingAttention,
        residual: str = "membrane",
        norm: str = "batch",
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.vocab_size = check_positive_int("vocab_size", vocab_size)
        self.d_model = check_divisible("d_model", d_model, "nhead", nhead)
        self.timesteps = check_positive_int("timesteps", timesteps)
        self.max_length = check_positive_int("max_length", max_length)
        check_positive("threshold", threshold)
        self.token_embedding = nn.Embedding(vocab_size, d_model)
        self.position_embedding = nn.Embedding(max_length, d_model)
        self.embedding_norm = token_norm(norm, d_model)
        self._start_small()
        self.dropout = nn.Dropout(check_interval("dropout", dropout, 0.0, 1.0))
        self.blocks = BlockStack.of(
            num_layers,
            d_model,
            nhead,
            timesteps,
            mlp_ratio=mlp_ratio,
            dropout=dropout,
            attention=attention,
            neuron=neuron,
            threshold=threshold,
            residual=residual,
            norm=norm,
            causal=causal,
        )

    def _start_small(self) -> None:
        """Make the embeddings small, and let an untrained batch norm expect that.

        Behind a norm their size is no matter, but the optimizer's steps are of a fixed size: from
        small values, a word that is seen ten times learns what it means.
        """
        with torch.no_grad():
            self.token_embedding.weight.mul_(_EMBEDDING_SIZE)
            self.position_embedding.weight.mul_(_EMBEDDING_SIZE)
        variance = getattr(self.embedding_norm, "running_var", None)
        if variance is not None:
            variance.mul_(_EMBEDDING_SIZE**2)

    @classmethod
    def from_config(cls, config: SpikingConfig, vocab_size: int, **kwargs: Any) -> Self:
        """Build a model from a `SpikingConfig`.

        `config.spike_encoding` has no effect here: token embeddings are no values in [0, 1] that
        could be encoded, they always enter as constant currents.

        Args:
            config: Timesteps, neurons, dropout and norm.
            vocab_size: Size of the vocabulary.
            **kwargs: Further arguments of the constructor; they override the configuration's.

        Raises:
            ArgumentError: The configuration names an unknown neuron or surrogate.

        Example:
            >>> from spikeformer import SpikingConfig
            >>> config = SpikingConfig(timesteps=4, neuron_model="PLIF")
            >>> model = SpikingTransformer.from_config(config, 100, d_model=32, num_layers=2)
        """
        return cls(vocab_size, **{**model_arguments(config, SpikingSelfAttention), **kwargs})

    @property
    def expected_shape(self) -> dict[str, tuple[int, ...]]:
        """Shape of one sample by input: token ids and their mask, padded to the longest."""
        return {"input_ids": (self.max_length,), "mask": (self.max_length,)}

    def forward(
        self,
        input_ids: Tensor,
        mask: Tensor | None = None,
        memory: TokenMemory | None = None,
    ) -> Tensor:
        """Compute the features of a batch of token sequences.

        Args:
            input_ids: Integers in [0, vocab_size), shape (batch, seq_len).
            mask: True at real tokens, False at padding, shape (batch, seq_len); None if all are.
                Features of real tokens do not depend on padding.
            memory: The tokens before these, where a text goes on; these are added. For a model
                with `causal=True`, in evaluation mode.

        Returns:
            Spikes of shape (batch, timesteps, seq_len, d_model).

        Raises:
            SpikingDynamicsError: Shapes, lengths or ids do not fit.
        """
        mask = check_token_ids(input_ids, mask, self.vocab_size, self.max_length)
        if memory is None:
            whole: Tensor = self.blocks(self.embed(input_ids, mask), mask)
            return whole
        first = memory.begin(input_ids.shape[1], self.max_length)
        features: Tensor = self.blocks(self.embed(input_ids, mask, first), mask, memory)
        return features

    def embed(self, input_ids: Tensor, mask: Tensor | None = None, first: int = 0) -> Tensor:
        """Return the constant currents of tokens, (batch, timesteps, seq_len, d_model).

        Args:
            input_ids: As `forward` takes them.
            mask: True at real tokens; None if all are.
            first: Position of the first one.
        """
        positions = torch.arange(first, first + input_ids.shape[1], device=input_ids.device)
        embedded = self.token_embedding(input_ids) + self.position_embedding(positions)
        current = self.dropout(self.embedding_norm(embedded.unsqueeze(1), mask))
        return current.expand(-1, self.timesteps, -1, -1)


def check_token_ids(
    input_ids: Tensor, mask: Tensor | None, vocab_size: int, max_length: int
) -> Tensor | None:
    """Refuse token ids or a mask that do not fit; return the mask as bool.

    Raises:
        SpikingDynamicsError: Shapes, lengths or ids do not fit.
    """
    if input_ids.ndim != 2 or input_ids.is_floating_point():
        raise SpikingDynamicsError(
            f"Expected integer token ids of shape (batch, seq_len), but got {input_ids.dtype} of"
            f" shape {tuple(input_ids.shape)}."
        )
    length = input_ids.shape[1]
    if length > max_length:
        raise SpikingDynamicsError(
            f"Expected at most max_length={max_length} tokens, but got {length}. Truncate the input"
            " or build the model with a larger max_length."
        )
    if mask is not None and mask.shape != input_ids.shape:
        raise SpikingDynamicsError(
            f"Expected a mask of the shape of input_ids, {tuple(input_ids.shape)}, but got"
            f" {tuple(mask.shape)}."
        )
    if not torch.compiler.is_compiling() and input_ids.numel():
        low, high = int(input_ids.min()), int(input_ids.max())
        if low < 0 or high >= vocab_size:
            raise SpikingDynamicsError(
                f"Expected token ids from 0 to vocab_size - 1 = {vocab_size - 1}, but got ids from"
                f" {low} to {high}. Check that model and tokenizer belong together."
            )
    return None if mask is None else mask.bool()
