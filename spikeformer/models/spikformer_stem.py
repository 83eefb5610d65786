"""The stem of Spikformer: spikes from the first convolution on."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from spikeformer.error_handling import ArgumentError, check_divisible
from spikeformer.models.layers import may_keep_bits
from spikeformer.models.stem import SpikingConv, Stem, to_tokens
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
        neuron: Factory of the spiking neurons.
        threshold: Their threshold.

    Source: Zhou et al., *Spikformer*, ICLR 2023, arXiv:2209.15425; pooling before the neuron as in
    SpikingJelly's implementation.
    """

    fires: ClassVar[bool] = True

    def __init__(
        self,
        in_channels: int,
        dim: int,
        timesteps: int,
        patch_size: int = 4,
        *,
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
        self.convs = nn.ModuleList(
            SpikingConv(
                before,
                after,
                pool=index >= 4 - self.num_pooled,
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
        for conv, neuron in zip(self.convs, self.neurons, strict=True):
            x = conv(x, neuron=neuron, timesteps=self.timesteps)
        return to_tokens(x + self.position(x, neuron=self.position_neuron))
