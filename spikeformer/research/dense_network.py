"""A spiking network of dense layers, for whatever synapses."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

from torch import Tensor, nn

from spikeformer.config import Described
from spikeformer.error_handling import (
    ArgumentError,
    check_positive,
    check_positive_int,
)
from spikeformer.models import ClassificationHead
from spikeformer.models.spiking_vit import check_images
from spikeformer.neurons import LifNeuron, NeuronFactory
from spikeformer.research.metaplasticity import MetaplasticSynapses


class SynapseFactory(Protocol):
    """Anything that makes a dense layer: `torch.nn.Linear`, or a partial of another class."""

    def __call__(self, input_size: int, output_size: int, /) -> nn.Module:
        """Return a new layer."""


class DenseSpikingNetwork(Described, nn.Module):
    """Images as constant currents through dense layers and spiking neurons; it knows no neighbours.

    Args:
        in_channels: Channels of the image.
        image_size: (height, width) of the image in pixels.
        d_model: Neurons of each layer.
        num_layers: Number of layers.
        timesteps: Number of simulation timesteps.
        threshold: Spiking threshold of every neuron.
        synapses: Factory of the dense layers.
        neuron: Factory of the spiking neurons.

    Example:
        >>> import torch
        >>> network = DenseSpikingNetwork(1, (8, 8), d_model=32, synapses=MetaplasticSynapses)
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
        synapses: SynapseFactory = nn.Linear,
        neuron: NeuronFactory = LifNeuron,
    ) -> None:
        super().__init__()
        size = tuple(image_size)
        if len(size) != 2 or min(size) < 1:
            raise ArgumentError("image_size", list(size), "[height, width], each at least 1")
        check_positive_int("num_layers", num_layers)
        check_positive_int("d_model", d_model)
        check_positive("threshold", threshold)
        self.image_shape = (check_positive_int("in_channels", in_channels), *size)
        self.timesteps = check_positive_int("timesteps", timesteps)
        widths = [in_channels * size[0] * size[1], *[d_model] * num_layers]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [synapses(before, after), neuron(threshold=threshold)]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Map images, shape (batch, in_channels, height, width), to spikes of one token.

        Returns:
            Shape (batch, timesteps, 1, d_model).

        Raises:
            SpikingDynamicsError: `images` has another shape.
        """
        check_images(images, self.image_shape)
        current = images.flatten(1)[:, None, None].expand(-1, self.timesteps, -1, -1)
        features: Tensor = self.layers(current)
        return features


class MetaplasticHead(ClassificationHead):
    """A classification head of `MetaplasticSynapses`.

    Args:
        d_model: Channels of a token.
        num_classes: Number of classes.
        metaplastic_rate: Of the synapses.
        dropout: Probability of dropping a pooled feature while training.
    """

    def __init__(
        self, d_model: int, num_classes: int, metaplastic_rate: float = 0.01, dropout: float = 0.0
    ) -> None:
        super().__init__(d_model, num_classes, dropout)
        synapses = MetaplasticSynapses(d_model, num_classes, metaplastic_rate)
        self.readout = synapses  # type: ignore[assignment]
