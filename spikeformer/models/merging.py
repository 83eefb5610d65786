"""Patch merging: what stands before each stage of a hierarchical spiking transformer."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from spikeformer.error_handling import ArgumentError, check_choice, check_positive_int
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
        downsample_at: Which of the convolutions halves height and width, from 0.
        shortcut: How the shortcut does: "stride" or "pool".
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
        downsample_at: int = 0,
        shortcut: str = "stride",
        *,
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
        if not 0 <= downsample_at < num_convs:
            expected = f"the number of one of the {num_convs} convolutions, from 0"
            raise ArgumentError("downsample_at", downsample_at, expected)
        fires = residual == "sew"
        self.neurons = nn.ModuleList(neuron(threshold=threshold) for _ in range(num_convs))
        self.shortcut_neuron = neuron(threshold=threshold) if fires else None
        bits = may_keep_bits(neuron(threshold=threshold))
        first = bits and (binary_input or not fires)
        how = [downsample if index == downsample_at else "none" for index in range(num_convs)]
        self.convs = nn.ModuleList(
            SpikingConv(
                out_channels if index else in_channels,
                out_channels,
                2 if how[index] == "stride" else 1,
                pool=how[index] == "pool",
                binary_input=bits if index else first,
            )
            for index in range(num_convs)
        )
        beside = shortcut if downsample != "none" else "none"
        self.shortcut = SpikingConv(
            in_channels,
            out_channels,
            2 if beside == "stride" else 1,
            kernel_size=1,
            pool=beside == "pool",
            binary_input=first,
        )

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width behind this layer of frames of this size."""
        if self.downsample == "none":
            return height, width
        return -(-height // 2), -(-width // 2)

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
    ) -> PatchEmbedding:
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
    ) -> PatchMerging:
        """Return a new layer."""
