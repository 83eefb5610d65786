"""Images to spikes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spikeformer.error_handling import SpikingDynamicsError, check_positive_int
from spikeformer.models import ConvStem
from spikeformer.multimodal.encoder import ModalityEncoder
from spikeformer.neurons import LifNeuron, NeuronFactory


class VisionSpikeEncoder(ModalityEncoder):
    """Encodes images by strided convolutions with spiking neurons between and behind them.

    The image enters as a constant current (direct coding), so that nothing is lost before the
    first neurons. A token is a place of the last convolution's grid.

    Args:
        embed_dim: Channels of a token; the convolutions double their width up to it.
        timesteps: Number of timesteps of the spikes.
        in_channels: Channels of the images.
        strides: Stride of each convolution, 1 or 2.
        neuron: Factory of the spiking neurons.
        threshold: Their threshold.

    Raises:
        ArgumentError: A value is outside its range.

    Source: see `spikeformer.models.ConvStem`.

    Example:
        >>> import torch
        >>> encoder = VisionSpikeEncoder(embed_dim=32, timesteps=4)
        >>> encoder.encode(torch.rand(2, 3, 16, 16)).shape
        torch.Size([2, 4, 16, 32])
    """

    def __init__(
        self,
        embed_dim: int,
        timesteps: int,
        *,
        in_channels: int = 3,
        strides: Sequence[int] = (1, 2, 2),
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
    ) -> None:
        super().__init__(embed_dim, timesteps, neuron=neuron, threshold=threshold)
        self.in_channels = check_positive_int("in_channels", in_channels)
        self.stem = ConvStem(
            in_channels, embed_dim, timesteps, strides, neuron=neuron, threshold=threshold
        )
        # Channels-last convolutions hand their output to the token layers without a copy.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        """Encode images.

        Args:
            x: Floating-point pixels, best in [0, 1], shape (batch, in_channels, height, width).

        Returns:
            Spikes of shape (batch, timesteps, tokens, embed_dim), tokens row by row.

        Raises:
            SpikingDynamicsError: `x` has another shape or dtype.
        """
        if x.ndim != 4 or x.shape[1] != self.in_channels or not x.is_floating_point():
            raise SpikingDynamicsError(
                "Expected floating-point images of shape (batch, "
                f"in_channels={self.in_channels}, height, width), but got {x.dtype} of "
                f"shape {tuple(x.shape)}."
            )
        return self.neuron(self.stem(x.unsqueeze(1)))
