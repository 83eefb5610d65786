"""What the encoders of all modalities share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from spikeformer.config import Described
from spikeformer.error_handling import check_positive, check_positive_int
from spikeformer.neurons import LifNeuron, NeuronFactory


class ModalityEncoder(Described, nn.Module, ABC):
    """A trainable spike encoder of one modality: its samples in, the spikes of its tokens out.

    Args:
        embed_dim: Channels of a token.
        timesteps: Number of timesteps of the spikes.
        neuron: Factory of the spiking neurons.
        threshold: Their threshold.
    """

    linear_between_neurons: ClassVar[bool] = True

    def __init__(
        self,
        embed_dim: int,
        timesteps: int,
        *,
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
    ) -> None:
        super().__init__()
        self.embed_dim = check_positive_int("embed_dim", embed_dim)
        self.timesteps = check_positive_int("timesteps", timesteps)
        self.neuron = neuron(threshold=check_positive("threshold", threshold))

    @property
    def binary(self) -> bool:
        """Whether the spikes are exactly 0 or 1."""
        return self.neuron.binary

    def encode(self, x: Tensor, **kwargs: Any) -> Tensor:
        """Return the spikes of `x`, shape (batch, timesteps, tokens, embed_dim)."""
        spikes: Tensor = self(x, **kwargs)
        return spikes

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Do what `encode` does."""
