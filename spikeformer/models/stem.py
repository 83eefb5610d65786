"""Convolutional stems: images to tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Protocol

from torch import Tensor, nn

from spikeformer.error_handling import ArgumentError, check_divisible
from spikeformer.models.layers import SpikeConv2d, may_keep_bits
from spikeformer.models.norm import FrameBatchNorm
from spikeformer.neurons import LifNeuron, NeuronFactory, SpikingNeuron
from spikeformer.ops.recomputing import added, viewed


class SpikingConv(nn.Module):
    """Convolution and batch norm at every timestep: spikes or images in, currents out.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Step of the convolution in both directions.
        groups: Groups of channels that do not mix.
        pool: Halve height and width by the maximum of 3x3 neighbours, after the norm.
        kernel_size: Pixels that are seen in both directions; odd.
        binary_input: Promise that inputs are exactly 0 or 1, so that training keeps one bit each.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        *,
        groups: int = 1,
        pool: bool = False,
        kernel_size: int = 3,
        binary_input: bool = False,
    ) -> None:
        super().__init__()
        if kernel_size % 2 != 1:
            raise ArgumentError("kernel_size", kernel_size, "an odd integer")
        self.conv = (SpikeConv2d if binary_input else nn.Conv2d)(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding=kernel_size // 2,
            groups=groups,
            bias=False,
        )
        self.norm = FrameBatchNorm(out_channels)
        self.pool = nn.MaxPool2d(3, 2, padding=1) if pool else None

    def forward(
        self, x: Tensor, *, neuron: SpikingNeuron | None = None, timesteps: int | None = None
    ) -> Tensor:
        """Convolve every frame.

        Args:
            x: Shape (batch, timesteps, channels, height, width).
            neuron: Fires at the currents.
            timesteps: How often to repeat the currents of an input with one timestep; None means
                not at all.

        Returns:
            Currents, or the spikes of `neuron`, in the layout of `x`.
        """
        current = by_frame(self.conv, x)
        norm: FrameBatchNorm | None = self.norm
        if self.pool is not None:
            backend = "auto" if neuron is None else neuron.backend
            current, norm = self.norm.pooled(current, self.pool, backend=backend), None
        elif neuron is None:
            current, norm = self.norm(current), None
        if timesteps is not None:
            sizes = -1, timesteps, *current.shape[2:]
            current = viewed(current, lambda y: y.expand(sizes))
        return current if neuron is None else neuron(current, norm=norm)


class SpikePool(nn.MaxPool2d):
    """The maximum of 3x3 neighbours that are spikes, which is their OR.

    Args:
        stride: 2 halves height and width, 1 keeps them.
    """

    def __init__(self, stride: int = 2) -> None:
        super().__init__(3, stride, padding=1)


def by_frame(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply a layer for images to (batch, timesteps, channels, height, width)."""
    leading, frames = x.shape[:2], layer(x.flatten(0, 1))
    return viewed(frames, lambda y: y.view(*leading, *y.shape[1:]))


class Stem(nn.Module, ABC):
    """Turns images into tokens."""

    fires: ClassVar[bool]
    """True if the tokens are spikes (or sums of them), False if they are currents."""

    @abstractmethod
    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width of the token grid for an image of this size."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Turn images into tokens.

        Args:
            x: Images or spikes, shape (batch, timesteps, channels, height, width); timesteps may
                be 1, which stands for an input that stays the same.

        Returns:
            Tokens of shape (batch, timesteps, tokens, dim).
        """


class SplittingStem(Stem):
    """Spiking patch splitting: four convolutions, their widths doubling up to `dim`, and a fifth.

    The first four fire; pooling behind some of them halves the image. Subclasses say how the
    layers are joined.

    Args:
        in_channels: Channels of the image.
        dim: Channels of a token; divisible by 8.
        timesteps: Number of timesteps of the output.
        pools_spikes: Behind which of the four to take the maximum of spikes.
        pools_currents: Behind which to take that of currents, before they fire.
        neuron: Factory of the spiking neurons.
        threshold: Their threshold.
    """

    def __init__(
        self,
        in_channels: int,
        dim: int,
        timesteps: int,
        pools_spikes: Sequence[bool],
        pools_currents: Sequence[bool],
        neuron: NeuronFactory,
        threshold: float,
    ) -> None:
        super().__init__()
        check_divisible("d_model", dim, "the first width", 8)
        self.timesteps = timesteps
        self.num_pooled = sum(pools_spikes) + sum(pools_currents)
        widths = [in_channels, dim // 8, dim // 4, dim // 2, dim]
        self.neurons = nn.ModuleList(neuron(threshold=threshold) for _ in range(4))
        binary = may_keep_bits(neuron(threshold=threshold))
        self.pools = nn.ModuleList(SpikePool() if pool else nn.Identity() for pool in pools_spikes)
        self.convs = nn.ModuleList(
            SpikingConv(
                before,
                after,
                pool=pools_currents[index],
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


class ConvStem(Stem):
    """A chain of strided convolutions with spiking neurons between them.

    The widths double up to `dim`. A constant input (direct coding) is convolved once, not once
    for each timestep: hand it over with one timestep and it is repeated behind the first
    convolution. The last convolution's currents are not fired: the residual stream takes them.
    One more depth-wise convolution adds position, as in Spikformer.

    Args:
        in_channels: Channels of the image.
        dim: Channels of a token.
        timesteps: Number of timesteps of the output.
        strides: Stride of each convolution, 1 or 2.
        neuron: Factory of the spiking neurons.
        threshold: Their threshold.

    Source: Xiao et al., *Early Convolutions Help Transformers See Better*, 2021,
    arXiv:2106.14881; spiking patch splitting in Zhou et al., 2023, arXiv:2209.15425.
    """

    fires: ClassVar[bool] = False

    def __init__(
        self,
        in_channels: int,
        dim: int,
        timesteps: int,
        strides: Sequence[int] = (1, 2),
        *,
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
    ) -> None:
        super().__init__()
        if not strides or any(stride not in (1, 2) for stride in strides):
            raise ArgumentError("stem_strides", list(strides), "a non-empty list of 1s and 2s")
        divisor = 2 ** (len(strides) - 1)
        if dim % divisor:
            raise ArgumentError(
                "d_model",
                dim,
                f"divisible by {divisor}, since the stem's {len(strides)} convolutions double their"
                " width up to it",
            )
        self.timesteps = timesteps
        self.strides = tuple(strides)
        # Each fires what the convolution before it hands on.
        neurons = [neuron(threshold=threshold) for _ in strides]
        self.neurons = nn.ModuleList(neurons)
        binary = all(map(may_keep_bits, neurons))
        widths = [dim // 2**i for i in reversed(range(len(strides)))]
        self.convs = nn.ModuleList(
            SpikingConv(before, after, stride, binary_input=index > 0 and binary)
            for index, (before, after, stride) in enumerate(
                zip([in_channels, *widths], widths, strides, strict=False)
            )
        )
        self.position = SpikingConv(dim, dim, groups=dim, binary_input=binary)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width of the token grid for an image of this size."""
        for stride in self.strides:
            height, width = -(-height // stride), -(-width // stride)
        return height, width

    def forward(self, x: Tensor) -> Tensor:
        """Turn images into token currents, (batch, timesteps, tokens, dim)."""
        for conv, neuron in zip(self.convs[:-1], self.neurons[:-1], strict=True):
            x = conv(x, neuron=neuron, timesteps=self.timesteps)
        x = self.convs[-1](x, timesteps=self.timesteps)
        x = added(x, self.position(self.neurons[-1](x)))
        return to_tokens(x)


def to_frames(x: Tensor, height: int, width: int) -> Tensor:
    """Map (batch, timesteps, tokens, channels) to (batch, timesteps, channels, height, width)."""
    return x.transpose(2, 3).reshape(*x.shape[:2], x.shape[3], height, width)


def to_tokens(x: Tensor) -> Tensor:
    """Map (batch, timesteps, channels, height, width) to (batch, timesteps, tokens, channels)."""
    return viewed(x, lambda y: y.flatten(3).transpose(2, 3))


class StemFactory(Protocol):
    """Anything that makes a stem: its class, or a `functools.partial` of it."""

    def __call__(
        self,
        in_channels: int,
        dim: int,
        timesteps: int,
        *,
        neuron: NeuronFactory,
        threshold: float,
    ) -> Stem:
        """Return a new stem."""
