"""Between an image, or a frame of events, and the first stage of a hierarchical model."""

from __future__ import annotations

from itertools import pairwise, zip_longest
from typing import Protocol

from torch import Tensor, nn

from spikeformer.error_handling import (
    ArgumentError,
    check_choice,
    check_divisible,
    check_positive_int,
)
from spikeformer.models.layers import may_keep_bits
from spikeformer.models.merging import DOWNSAMPLING, PatchMerging, check_membrane
from spikeformer.models.stem import SpikingConv
from spikeformer.neurons import LifNeuron, NeuronFactory


class PatchEmbedding(nn.Module):
    """The first stage's frames of an image: one convolution more, then patch merging.

    A constant input (direct coding), handed over with one timestep, is convolved once.

    Args:
        in_channels: Channels of the image.
        dim: Channels of the first stage; even.
        timesteps: Number of timesteps of the output.
        downsample: How the first convolution and the merging each halve height and width: "none",
            "pool" or "stride".
        num_convs: Convolutions of the merging's main path.
        residual: "sew" or "membrane", as in `PatchMerging`.
        neuron: Factory of the spiking neurons.
        threshold: Their threshold.

    Source: as of `PatchMerging`.
    """

    def __init__(
        self,
        in_channels: int,
        dim: int,
        timesteps: int,
        downsample: str = "pool",
        num_convs: int = 2,
        *,
        residual: str = "sew",
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
    ) -> None:
        super().__init__()
        if dim % 2:
            raise ArgumentError("dim", dim, "an even number")
        self.timesteps = timesteps
        self.downsample = check_choice("downsample", downsample, DOWNSAMPLING)
        self.conv = SpikingConv(
            in_channels,
            dim // 2,
            2 if downsample == "stride" else 1,
            pool=downsample == "pool",
        )
        self.neuron = neuron(threshold=threshold) if residual == "sew" else None
        self.merging = PatchMerging(
            dim // 2,
            dim,
            num_convs,
            downsample,
            residual=residual,
            binary_input=True,
            neuron=neuron,
            threshold=threshold,
        )

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of the first stage for an image of this size."""
        if self.downsample != "none":
            height, width = -(-height // 2), -(-width // 2)
        return self.merging.output_size(height, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, timesteps, channels, height, width) to the first stage's frames."""
        frames: Tensor = self.merging(self.conv(x, neuron=self.neuron, timesteps=self.timesteps))
        return frames


class EventEmbedding(nn.Module):
    """The first stage's frames of an event camera: a chain of convolutions that ends in merging.

    Widths double up to `dim`; all convolutions but the first halve height and width. The shortcut
    of the merging passes the last two.

    Args:
        in_channels: Channels of a frame: its polarities.
        dim: Channels of the first stage; divisible by `2 ** (num_convs - 1)`.
        timesteps: Number of timesteps of the output.
        downsample: How the convolutions halve height and width: "pool" or "stride".
        num_convs: Convolutions of the main path, 3 or more.
        residual: "sew" or "membrane", as in `PatchMerging`.
        neuron: Factory of the spiking neurons.
        threshold: Their threshold.

    Source: as of `PatchMerging`; both papers' networks for CIFAR10-DVS and DVS128 Gesture.
    """

    def __init__(
        self,
        in_channels: int,
        dim: int,
        timesteps: int,
        downsample: str = "pool",
        num_convs: int = 4,
        *,
        residual: str = "sew",
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
    ) -> None:
        super().__init__()
        if num_convs < 3:
            raise ArgumentError("num_convs", num_convs, "3 or more, the merging's two among them")
        check_divisible("d_model", dim, "the first width", 2 ** (num_convs - 1))
        check_choice("downsample", downsample, DOWNSAMPLING[1:])
        self.timesteps = timesteps
        bits = may_keep_bits(neuron(threshold=threshold))
        widths = [in_channels, *(dim // 2**i for i in range(num_convs - 1, 1, -1))]
        self.convs = nn.ModuleList(
            SpikingConv(
                before,
                after,
                2 if index and downsample == "stride" else 1,
                pool=index > 0 and downsample == "pool",
                binary_input=index > 0 and bits,
            )
            for index, (before, after) in enumerate(pairwise(widths))
        )
        # With "membrane" the merging fires what the last convolution hands on.
        fired = self.convs if residual == "sew" else self.convs[:-1]
        self.neurons = nn.ModuleList(neuron(threshold=threshold) for _ in fired)
        self.merging = PatchMerging(
            dim // 4,
            dim,
            2,
            downsample,
            (0, 1),
            doubles=True,
            residual=residual,
            binary_input=True,
            neuron=neuron,
            threshold=threshold,
        )

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of the first stage for a frame of this size."""
        for _ in self.convs[1:]:
            height, width = -(-height // 2), -(-width // 2)
        return self.merging.output_size(height, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map frames (batch, timesteps, channels, height, width) to those of the first stage."""
        for conv, neuron in zip_longest(self.convs, self.neurons):
            x = conv(x, neuron=neuron, timesteps=self.timesteps)
        frames: Tensor = self.merging(x)
        return frames


class ConvEmbedding(nn.Module):
    """The first stage's currents of an image: one convolution.

    A constant input (direct coding), handed over with one timestep, is convolved once.

    Args:
        in_channels: Channels of the image.
        dim: Channels of the first stage.
        timesteps: Number of timesteps of the output.
        kernel_size: Pixels that the convolution sees in both directions; odd.
        stride: 2 halves height and width, 1 keeps them.
        residual: "membrane".
        neuron: Factory of the spiking neurons; none is needed here.
        threshold: Their threshold.

    Source: as of `ConvMerging`.
    """

    def __init__(
        self,
        in_channels: int,
        dim: int,
        timesteps: int,
        kernel_size: int = 7,
        stride: int = 2,
        *,
        residual: str = "membrane",
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
    ) -> None:
        super().__init__()
        check_membrane(residual)
        self.timesteps = timesteps
        self.stride = check_positive_int("stride", stride)
        self.conv = SpikingConv(in_channels, dim, stride, kernel_size=kernel_size)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of the first stage for an image of this size."""
        return -(-height // self.stride), -(-width // self.stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, timesteps, channels, height, width) to the first stage's frames."""
        currents: Tensor = self.conv(x, timesteps=self.timesteps)
        return currents


class EmbeddingFactory(Protocol):
    """Anything that makes the first stage's embedding: `PatchEmbedding`, or a partial of it."""

    def __call__(
        self,
        in_channels: int,
        dim: int,
        timesteps: int,
        *,
        residual: str,
        neuron: NeuronFactory,
        threshold: float,
    ) -> PatchEmbedding | EventEmbedding | ConvEmbedding:
        """Return a new embedding."""
