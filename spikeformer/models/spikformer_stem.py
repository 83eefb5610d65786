"""The stem of Spikformer: spikes from the first convolution on."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from spikeformer.error_handling import ArgumentError, check_divisible
from spikeformer.models.layers import may_keep_bits
from spikeformer.models.stem import SpikingConv, Stem, by_frame, halving, to_tokens
from spikeformer.neurons import LifNeuron, NeuronFactory

PATCH_SIZES = (1, 2, 4, 8, 16)


class SpikformerStem(Stem):
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
        super().__init__()
        check_divisible("d_model", dim, "the first width", 8)
        if patch_size not in PATCH_SIZES:
            raise ArgumentError("patch_size", patch_size, f"one of {PATCH_SIZES}")
        self.timesteps = timesteps
        self.num_pooled = PATCH_SIZES.index(patch_size)
        widths = [in_channels, dim // 8, dim // 4, dim // 2, dim]
        self.neurons = nn.ModuleList(neuron(threshold=threshold) for _ in range(4))
        self.position_neuron = neuron(threshold=threshold)
        binary = may_keep_bits(self.position_neuron)
        pooled = [index >= 4 - self.num_pooled for index in range(4)]
        self.pools = nn.ModuleList(
            halving() if pool and pool_spikes else nn.Identity() for pool in pooled
        )
        self.convs = nn.ModuleList(
            SpikingConv(
                before,
                after,
                pool=pooled[index] and not pool_spikes,
                binary_input=index > 0 and binary,
            )
            for index, (before, after) in enumerate(pairwise(widths))
        )
        self.position = SpikingConv(dim, dim, binary_input=binary)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width of the token grid for an image of this size."""
        for _ in range(self.num_pooled):
            height, width = -(-height // 2), -(-width // 2)
        return height, width

    def forward(self, x: Tensor) -> Tensor:
        """Turn images into sums of two spikes, (batch, timesteps, tokens, dim)."""
        for conv, neuron, pool in zip(self.convs, self.neurons, self.pools, strict=True):
            x = by_frame(pool, conv(x, neuron=neuron, timesteps=self.timesteps))
        return to_tokens(x + self.position(x, neuron=self.position_neuron))
