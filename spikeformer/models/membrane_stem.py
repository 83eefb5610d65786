"""The stems of Spike-driven Transformer and Spikingformer: currents out, spikes between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from spikeformer.error_handling import ArgumentError
from spikeformer.models.stem import SplittingStem, by_frame, to_tokens
from spikeformer.neurons import LifNeuron, NeuronFactory
from spikeformer.ops.recomputing import added


class MembraneStem(SplittingStem):
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
        if len(pool) != 4:
            raise ArgumentError("pool", list(pool), "four values, one for each convolution")
        # With a shortcut the last pooling takes currents, those that are added.
        of_currents = [shortcut and bool(wanted) and i == 3 for i, wanted in enumerate(pool)]
        of_spikes = [bool(w) and not c for w, c in zip(pool, of_currents, strict=True)]
        super().__init__(in_channels, dim, timesteps, of_spikes, of_currents, neuron, threshold)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Turn images into currents, (batch, timesteps, tokens, dim)."""
        layers = list(zip(self.convs, self.neurons, self.pools, strict=True))
        for conv, neuron, pool in layers[:-1]:
            x = by_frame(pool, conv(x, neuron=neuron, timesteps=self.timesteps))
        conv, neuron, pool = layers[-1]
        current = conv(x, timesteps=self.timesteps)
        positions = self.position(by_frame(pool, neuron(current)))
        return to_tokens(added(current, positions) if self.shortcut else positions)
