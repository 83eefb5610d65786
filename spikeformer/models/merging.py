"""Patch merging: what stands before each stage of a hierarchical spiking transformer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, zip_longest
from typing import Protocol

from torch import Tensor, nn

from spikeformer.error_handling import (
    ArgumentError,
    check_choice,
    check_divisible,
    check_positive_int,
)
from spikeformer.models.block import RESIDUALS
from spikeformer.models.layers import may_keep_bits
from spikeformer.models.stem import SpikingConv
from spikeformer.neurons import LifNeuron, NeuronFactory

DOWNSAMPLING = ("none", "pool", "stride")


class PatchMerging(nn.Module):
    """Convolutions from one stage's frames to the next one's, with a shortcut of 1x1 pixels.

    - `residual="sew"`: spikes in, sums of two spikes out,
      `LIF(conv ... LIF(conv x)) + LIF(conv1x1 x)`.
    - `residual="membrane"`: currents in, currents out, `s = LIF(x)`,
      `conv ... LIF(conv s) + conv1x1 s`.

    Every `conv` is followed by batch norm.

    Args:
        in_channels: Channels of the stage before.
        out_channels: Channels of the stage behind.
        num_convs: Convolutions of 3x3 pixels on the main path.
        downsample: "none"; "pool", the maximum of 3x3 currents; or "stride".
        downsample_at: Which of the convolutions halves height and width, from 0; several in a list.
        shortcut: How the shortcut does: "stride" or "pool".
        doubles: Every convolution doubles the channels, up to `out_channels`; False lets the first
            one do it all.
        residual: "sew" or "membrane".
        binary_input: Promise that inputs are exactly 0 or 1 (with "sew").
        neuron: Factory of the spiking neurons.
        threshold: Their threshold.

    Source: Zhou et al., *QKFormer*, NeurIPS 2024, arXiv:2403.16552 ("sew"); Fang et al., *Spiking
    Neural Networks Need High-Frequency Information*, NeurIPS 2025, arXiv:2505.18608 ("membrane",
    pooling on both paths).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_convs: int = 2,
        downsample: str = "pool",
        downsample_at: int | Sequence[int] = 0,
        shortcut: str = "stride",
        *,
        doubles: bool = False,
        residual: str = "sew",
        binary_input: bool = False,
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
    ) -> None:
        super().__init__()
        check_positive_int("num_convs", num_convs)
        self.downsample = check_choice("downsample", downsample, DOWNSAMPLING)
        check_choice("shortcut", shortcut, DOWNSAMPLING[1:])
        self.residual = check_choice("residual", residual, RESIDUALS)
        halving = {downsample_at} if isinstance(downsample_at, int) else set(downsample_at)
        if not halving or not halving <= set(range(num_convs)):
            expected = f"numbers of the {num_convs} convolutions, from 0"
            raise ArgumentError("downsample_at", downsample_at, expected)
        if doubles and out_channels != in_channels * 2**num_convs:
            expected = f"{in_channels} doubled {num_convs} times"
            raise ArgumentError("out_channels", out_channels, expected)
        self.num_halvings = 0 if downsample == "none" else len(halving)
        if shortcut == "pool" and self.num_halvings > 1:
            raise ArgumentError("shortcut", shortcut, '"stride" where height and width halve twice')
        fires = residual == "sew"
        self.neurons = nn.ModuleList(neuron(threshold=threshold) for _ in range(num_convs))
        self.shortcut_neuron = neuron(threshold=threshold) if fires else None
        bits = may_keep_bits(neuron(threshold=threshold))
        first = bits and (binary_input or not fires)
        how = [downsample if index in halving else "none" for index in range(num_convs)]
        grown = [in_channels * 2**index if doubles else out_channels for index in range(num_convs)]
        widths = [in_channels, *grown[1:], out_channels]
        self.convs = nn.ModuleList(
            SpikingConv(
                widths[index],
                widths[index + 1],
                2 if how[index] == "stride" else 1,
                pool=how[index] == "pool",
                binary_input=bits if index else first,
            )
            for index in range(num_convs)
        )
        pools = shortcut == "pool" and self.num_halvings > 0
        self.shortcut = SpikingConv(
            in_channels,
            out_channels,
            1 if pools else 2**self.num_halvings,
            kernel_size=1,
            pool=pools,
            binary_input=first,
        )

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width behind this layer of frames of this size."""
        for _ in range(self.num_halvings):
            height, width = -(-height // 2), -(-width // 2)
        return height, width

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, timesteps, in_channels, height, width) to the next stage's frames."""
        if self.residual == "sew":
            hidden = x
            for conv, neuron in zip(self.convs, self.neurons, strict=True):
                hidden = conv(hidden, neuron=neuron)
            spikes: Tensor = hidden + self.shortcut(x, neuron=self.shortcut_neuron)
            return spikes
        fired = self.neurons[0](x)
        current = self.convs[0](fired)
        for conv, neuron in zip(self.convs[1:], self.neurons[1:], strict=True):
            current = conv(neuron(current))
        currents: Tensor = current + self.shortcut(fired)
        return currents


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


class ConvMerging(nn.Module):
    """One convolution from one stage's currents to the next one's: they fire, then it takes them.

    Args:
        in_channels: Channels of the stage before.
        out_channels: Channels of the stage behind.
        kernel_size: Pixels that the convolution sees in both directions; odd.
        stride: 2 halves height and width, 1 keeps them.
        residual: "membrane".
        neuron: Factory of the spiking neurons.
        threshold: Their threshold.

    Source: Yao et al., TPAMI 2025, arXiv:2411.16061.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 2,
        *,
        residual: str = "membrane",
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
    ) -> None:
        super().__init__()
        _check_membrane(residual)
        self.stride = check_positive_int("stride", stride)
        self.neuron = neuron(threshold=threshold)
        self.conv = SpikingConv(
            in_channels,
            out_channels,
            stride,
            kernel_size=kernel_size,
            binary_input=may_keep_bits(self.neuron),
        )

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width behind this layer of frames of this size."""
        return -(-height // self.stride), -(-width // self.stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, timesteps, in_channels, height, width) to the next stage's frames."""
        currents: Tensor = self.conv(self.neuron(x))
        return currents


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
        _check_membrane(residual)
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


def _check_membrane(residual: str) -> None:
    if residual != "membrane":
        raise ArgumentError("residual", residual, '"membrane" with convolutions that do not fire')


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


class MergingFactory(Protocol):
    """Anything that makes what stands between two stages: `PatchMerging`, or a partial of it."""

    def __call__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        residual: str,
        neuron: NeuronFactory,
        threshold: float,
    ) -> PatchMerging | ConvMerging:
        """Return a new layer."""
