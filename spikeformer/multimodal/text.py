"""Texts to spikes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikeformer.error_handling import check_positive_int
from spikeformer.models.norm import token_norm
from spikeformer.models.spiking_transformer import check_token_ids
from spikeformer.multimodal.encoder import ModalityEncoder
from spikeformer.neurons import LifNeuron, NeuronFactory


class TextSpikeEncoder(ModalityEncoder):
    """Encodes tokens: their embeddings and positions are constant currents into spiking neurons.

    Args:
        vocab_size: Size of the vocabulary.
        embed_dim: Channels of a token.
        timesteps: Number of timesteps of the spikes.
        max_length: Longest sequence, in tokens.
        norm: "batch" or "layer".
        neuron: Factory of the spiking neurons.
        threshold: Their threshold.

    Raises:
        ArgumentError: A value is outside its range.

    Example:
        >>> encoder = TextSpikeEncoder(vocab_size=100, embed_dim=32, timesteps=4)
        >>> encoder.encode(torch.randint(100, (2, 7))).shape
        torch.Size([2, 4, 7, 32])
    """

    def __init__(
        self,
        vocab_size: int,
        embed_dim: int,
        timesteps: int,
        *,
        max_length: int = 512,
        norm: str = "batch",
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
    ) -> None:
        super().__init__(embed_dim, timesteps, neuron=neuron, threshold=threshold)
        self.vocab_size = check_positive_int("vocab_size", vocab_size)
        self.max_length = check_positive_int("max_length", max_length)
        self.token_embedding = nn.Embedding(vocab_size, embed_dim)
        self.position_embedding = nn.Embedding(max_length, embed_dim)
        self.norm = token_norm(norm, embed_dim)

    def forward(self, x: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """Encode token ids.

        Args:
            x: Integers in [0, vocab_size), shape (batch, seq_len).
            mask: True at real tokens, False at padding, shape (batch, seq_len); None if all are.
                Padding stays silent. A fusion knows no mask of tokens: behind it, silent tokens
                count as tokens.

        Returns:
            Spikes of shape (batch, timesteps, seq_len, embed_dim).

        Raises:
            SpikingDynamicsError: Shapes, lengths or ids do not fit.
        """
        return self.spikes(x, check_token_ids(x, mask, self.vocab_size, self.max_length))

    def spikes(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Do the same with ids and a mask that are checked already."""
        positions = torch.arange(x.shape[1], device=x.device)
        embedded = self.token_embedding(x) + self.position_embedding(positions)
        current = self.norm(embedded.unsqueeze(1), mask)
        spikes = self.neuron(current.expand(-1, self.timesteps, -1, -1))
        return spikes if mask is None else spikes * mask[:, None, :, None]
