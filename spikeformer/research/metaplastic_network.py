"""A spiking network all of whose weights are metaplastic."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from spikeformer.error_handling import (
    ArgumentError,
    SpikingDynamicsError,
    check_positive,
    check_positive_int,
)
from spikeformer.models import ClassificationHead
from spikeformer.neurons import LifNeuron, NeuronFactory
from spikeformer.research.metaplasticity import MetaplasticSynapses


class MetaplasticNetwork(nn.Module):
    """Images as constant currents through layers of `MetaplasticSynapses` and spiking neurons.

    Args:
        in_channels: Channels of the image.
        image_size: (height, width) of the image in pixels.
        d_model: Neurons of each layer.
        num_layers: Number of layers.
        timesteps: Number of simulation timesteps.
        threshold: Spiking threshold of every neuron.
        metaplastic_rate: Of the synapses.
        neuron: Factory of the spiking neurons.

    Example:
        >>> import torch
        >>> network = MetaplasticNetwork(1, (8, 8), d_model=32)
        >>> network(torch.rand(2, 1, 8, 8)).shape
        torch.Size([2, 4, 1, 32])
    """

    def __init__(
        self,
        in_channels: int,
        image_size: Sequence[int],
        d_model: int = 256,
        num_layers: int = 2,
        timesteps: int = 4,
        threshold: float = 1.0,
        *,
        metaplastic_rate: float = 0.01,
        neuron: NeuronFactory = LifNeuron,
    ) -> None:
        super().__init__()
        size = tuple(image_size)
        if len(size) != 2 or min(size) < 1:
            raise ArgumentError("image_size", list(size), "[height, width], each at least 1")
        self.image_shape = (check_positive_int("in_channels", in_channels), *size)
        self.timesteps = check_positive_int("timesteps", timesteps)
        check_positive("threshold", threshold)
        widths = [in_channels * size[0] * size[1], *[d_model] * num_layers]
        layers: list[nn.Module] = []
        for before, after in zip(widths[:-1], widths[1:], strict=True):
            layers += [
                MetaplasticSynapses(before, after, metaplastic_rate, bias=True),
                neuron(threshold=threshold),
            ]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Map images, shape (batch, in_channels, height, width), to spikes of one token.

        Returns:
            Shape (batch, timesteps, 1, d_model).
        """
        if images.ndim != 4 or tuple(images.shape[1:]) != self.image_shape:
            raise SpikingDynamicsError(
                "Expected images of shape (batch, channels, height, width) = "
                f"(batch, {', '.join(map(str, self.image_shape))}), but got {tuple(images.shape)}."
            )
        current = images.flatten(1)[:, None, None].expand(-1, self.timesteps, -1, -1)
        features: Tensor = self.layers(current)
        return features


class MetaplasticHead(ClassificationHead):
    """A classification head whose weights are metaplastic too.

    Args:
        d_model: Channels of a token.
        num_classes: Number of classes.
        metaplastic_rate: Of the synapses.
        dropout: Probability of dropping a pooled feature while training.
    """

    def __init__(
        self,
        d_model: int,
        num_classes: int,
        metaplastic_rate: float = 0.01,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(d_model, num_classes, dropout)
        self.readout = MetaplasticSynapses(d_model, num_classes, metaplastic_rate, bias=True)
