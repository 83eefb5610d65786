"""A feed-forward spiking network with delays, for spikes of a line of channels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from spikeformer.config import Described
from spikeformer.encoding import EventCoding, SpikeEncoder
from spikeformer.error_handling import (
    ArgumentError,
    check_interval,
    check_positive,
    check_positive_int,
)
from spikeformer.models.delays import DelayLinear
from spikeformer.models.norm import token_norm
from spikeformer.models.spiking_vit import check_images
from spikeformer.neurons import LifNeuron, NeuronFactory


class SpikingDelayNetwork(Described, nn.Module):
    """Layers of neurons whose synapses have learnt delays: what happened when meets here.

    Each layer is `DelayLinear`, batch norm and a spiking neuron. The features are the spikes of
    the last, as one token.

    Args:
        in_channels: Channels of a frame.
        image_size: Height and width of a frame: (1, channels) for a cochlea.
        d_model: Neurons of each layer.
        num_layers: Number of layers.
        timesteps: Number of simulation timesteps.
        threshold: Spiking threshold of every neuron.
        max_delay: Largest delay of a synapse, in timesteps; 0 has none.
        width: Width of the Gaussian by which delays learn, in timesteps.
        dropout: Probability of dropping a spike between layers while training.
        encoding: How frames come in; None is `EventCoding`.
        neuron: Factory of the spiking neurons.

    Source: Hammouamri et al., ICLR 2024, arXiv:2306.17670.

    Example:
        >>> import torch
        >>> net = SpikingDelayNetwork(1, (1, 64), d_model=32, timesteps=20, max_delay=5)
        >>> net(torch.randint(2, (3, 20, 1, 1, 64)).float()).shape
        torch.Size([3, 20, 1, 32])
    """

    def __init__(
        self,
        in_channels: int = 1,
        image_size: Sequence[int] = (1, 64),
        d_model: int = 128,
        num_layers: int = 2,
        timesteps: int = 50,
        threshold: float = 1.0,
        *,
        max_delay: int = 15,
        width: float = 1.0,
        dropout: float = 0.0,
        encoding: SpikeEncoder | None = None,
        neuron: NeuronFactory = LifNeuron,
    ) -> None:
        super().__init__()
        shape = (in_channels, *image_size)
        for key, value in (("in_channels", in_channels), *(("image_size", s) for s in image_size)):
            check_positive_int(key, value)
        self.d_model = check_positive_int("d_model", d_model)
        self.timesteps = check_positive_int("timesteps", timesteps)
        check_positive("threshold", threshold)
        self.encoding = encoding or EventCoding(timesteps)
        if self.encoding.timesteps != timesteps or not self.encoding.temporal:
            expected = f"events or frames, with the model's timesteps={timesteps}"
            raise ArgumentError("encoding", self.encoding, expected)
        self.image_shape = self.encoding.sample_shape(shape)
        widths = [prod(shape), *[d_model] * check_positive_int("num_layers", num_layers)]
        self.layers = nn.ModuleList(
            DelayLinear(before, after, max_delay, width=width) for before, after in pairwise(widths)
        )
        self.norms = nn.ModuleList(token_norm("batch", d_model) for _ in self.layers)
        self.neurons = nn.ModuleList(neuron(threshold=threshold) for _ in self.layers)
        self.dropout = nn.Dropout(check_interval("dropout", dropout, 0.0, 1.0))

    def forward(self, events: Tensor) -> Tensor:
        """Compute the features of a batch of recordings.

        Args:
            events: (batch, timesteps, in_channels, height, width).

        Returns:
            Spikes of shape (batch, timesteps, 1, d_model).

        Raises:
            SpikingDynamicsError: `events` has another shape.
        """
        check_images(events, self.image_shape)
        spikes: Tensor = self.encoding(events).flatten(2)
        for layer, norm, neuron in zip(self.layers, self.norms, self.neurons, strict=True):
            current = layer(self.dropout(spikes)).unsqueeze(2)
            spikes = neuron(current, norm=norm).squeeze(2)
        return spikes.unsqueeze(2)
