"""The stems of Spike-driven Transformer and Spikingformer: currents out, spikes between."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from spikeformer.error_handling import ArgumentError, check_divisible
from spikeformer.models.layers import may_keep_bits
from spikeformer.models.stem import SpikingConv, Stem, by_frame, halving, to_tokens
from spikeformer.neurons import LifNeuron, NeuronFactory


class MembraneStem(Stem):
    """Spiking patch splitting with a membrane shortcut: five convolutions, currents out.

    Widths double up to `dim` in the first four, each of which fires; where `pool` says so, the
    maximum of 3x3 spikes, which is their OR, halves the image. The fifth takes the spikes of the
    fourth. With `shortcut`, currents of the fourth and of the fifth are added, and the fourth's
    pooling takes currents.

    Args:
        in_channels: Channels of the image.
        dim: Channels of a token; divisible by 8.
        timesteps: Number of timesteps of the output.
        pool: Whether to halve the image behind each of the first four convolutions.
        shortcut: Add the currents of the fourth convolution to those of the fifth, as
            Spike-driven Transformer does; Spikingformer does not.
        neuron: Factory of the spiking neurons.
        threshold: Their threshold.

    Source: Yao et al., *Spike-driven Transformer*, NeurIPS 2023, arXiv:2307.01694; Zhou et al.,
    *Spikingformer*, 2023, arXiv:2304.11954.
    """

    fires: ClassVar[bool] = False

    def __init__(
        self,
        in_channels: int,
        dim: int,
        timesteps: int,
        pool: Sequence[bool] = (False, False, True, True),
        *,
        shortcut: bool = True,
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
    ) -> None:
        super().__init__()
        check_divisible("d_model", dim, "the first width", 8)
        if len(pool) != 4:
            raise ArgumentError("pool", list(pool), "four values, one for each convolution")
        self.timesteps = timesteps
        self.shortcut = shortcut
        self.num_pooled = sum(map(bool, pool))
        widths = [in_channels, dim // 8, dim // 4, dim // 2, dim]
        self.neurons = nn.ModuleList(neuron(threshold=threshold) for _ in range(4))
        binary = may_keep_bits(neuron(threshold=threshold))
        currents = [shortcut and index == 3 for index in range(4)]
        self.pools = nn.ModuleList(
            halving() if wanted and not of_currents else nn.Identity()
            for wanted, of_currents in zip(pool, currents, strict=True)
        )
        self.convs = nn.ModuleList(
            SpikingConv(
                before,
                after,
                pool=bool(pool[index]) and currents[index],
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
        """Turn images into currents, (batch, timesteps, tokens, dim)."""
        layers = list(zip(self.convs, self.neurons, self.pools, strict=True))
        for conv, neuron, pool in layers[:-1]:
            x = by_frame(pool, conv(x, neuron=neuron, timesteps=self.timesteps))
        conv, neuron, pool = layers[-1]
        current = conv(x, timesteps=self.timesteps)
        positions = self.position(by_frame(pool, neuron(current)))
        return to_tokens(current + positions if self.shortcut else positions)
