"""Patch merging: what stands before each stage of a hierarchical spiking transformer."""

from __future__ import annotations

from collections.abc import Sequence
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
        check_membrane(residual)
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


def check_membrane(residual: str) -> None:
    """Refuse another residual than "membrane", in layers that do not fire.

    Raises:
        ArgumentError: It is another one.
    """
    if residual != "membrane":
        raise ArgumentError("residual", residual, '"membrane" with convolutions that do not fire')


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
