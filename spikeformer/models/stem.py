"""The convolutional stem: images to token currents."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from spikeformer.error_handling import ArgumentError
from spikeformer.neurons import LifNeuron, NeuronFactory


class SpikingConv(nn.Module):
    """3x3 convolution and batch norm at every timestep: spikes or images in, currents out.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Step of the convolution in both directions.
        groups: Groups of channels that do not mix.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, *, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, 3, stride, padding=1, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, timesteps, channels, height, width) to currents of the same layout."""
        current: Tensor = self.norm(self.conv(x.flatten(0, 1)))
        return current.view(*x.shape[:2], *current.shape[1:])


class ConvStem(nn.Module):
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
        if dim % 2 ** (len(strides) - 1):
            raise ArgumentError(
                "d_model",
                dim,
                f"divisible by {2 ** (len(strides) - 1)}, since the stem's "
                f"{len(strides)} convolutions double their width up to it",
            )
        self.timesteps = timesteps
        self.strides = tuple(strides)
        widths = [dim // 2**i for i in reversed(range(len(strides)))]
        self.convs = nn.ModuleList(
            SpikingConv(before, after, stride)
            for before, after, stride in zip([in_channels, *widths], widths, strides, strict=False)
        )
        # Each fires what the convolution before it hands on.
        self.neurons = nn.ModuleList(neuron(threshold=threshold) for _ in strides)
        self.position = SpikingConv(dim, dim, groups=dim)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width of the token grid for an image of this size."""
        for stride in self.strides:
            height, width = -(-height // stride), -(-width // stride)
        return height, width

    def forward(self, x: Tensor) -> Tensor:
        """Turn images into token currents.

        Args:
            x: Images or spikes, shape (batch, timesteps, channels, height, width); timesteps may
                be 1, which stands for an input that stays the same.

        Returns:
            Currents of shape (batch, timesteps, tokens, dim).
        """
        for index, (conv, neuron) in enumerate(zip(self.convs, self.neurons, strict=True)):
            x = conv(x)
            if index == 0:
                x = x.expand(-1, self.timesteps, *x.shape[2:])
            spikes = neuron(x)
            if index + 1 < len(self.convs):
                x = spikes
        x = x + self.position(spikes)
        return x.flatten(3).transpose(2, 3)
