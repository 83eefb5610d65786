"""The stem of Spikformer: spikes from the first convolution on."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from spikeformer.error_handling import ArgumentError
from spikeformer.models.stem import SplittingStem, by_frame, to_tokens
from spikeformer.neurons import LifNeuron, NeuronFactory

PATCH_SIZES = (1, 2, 4, 8, 16)


class SpikformerStem(SplittingStem):
    """Spiking patch splitting: four convolutions that fire, and a fifth that adds position.

    Widths double up to `dim`; the last `log2(patch_size)` convolutions halve the image by pooling.
    The output is the sum of two spikes, as the residual "sew" takes it. A constant input (direct
    coding), handed over with one timestep, is convolved once.

    Args:
        in_channels: Channels of the image.
        dim: Channels of a token; divisible by 8.
        timesteps: Number of timesteps of the output.
        patch_size: Pixels of the image to a token, in both directions: 1, 2, 4, 8 or 16.
        pool_spikes: Pool behind the neurons, where the maximum of spikes is their OR, as the
            authors' code does; False pools the currents before them, as SpikingJelly does.
        neuron: Factory of the spiking neurons.
        threshold: Their threshold.

    Source: Zhou et al., *Spikformer*, ICLR 2023, arXiv:2209.15425.
    """

    fires: ClassVar[bool] = True

    def __init__(
        self,
        in_channels: int,
        dim: int,
        timesteps: int,
        patch_size: int = 4,
        *,
        pool_spikes: bool = False,
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
    ) -> None:
        if patch_size not in PATCH_SIZES:
            raise ArgumentError("patch_size", patch_size, f"one of {PATCH_SIZES}")
        pooled = [index >= 4 - PATCH_SIZES.index(patch_size) for index in range(4)]
        of_spikes = [pool and pool_spikes for pool in pooled]
        of_currents = [pool and not pool_spikes for pool in pooled]
        super().__init__(in_channels, dim, timesteps, of_spikes, of_currents, neuron, threshold)
        self.position_neuron = neuron(threshold=threshold)

    def forward(self, x: Tensor) -> Tensor:
        """Turn images into sums of two spikes, (batch, timesteps, tokens, dim)."""
        for conv, neuron, pool in zip(self.convs, self.neurons, self.pools, strict=True):
            x = by_frame(pool, conv(x, neuron=neuron, timesteps=self.timesteps))
        return to_tokens(x + self.position(x, neuron=self.position_neuron))
