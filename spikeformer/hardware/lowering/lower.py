"""From a network to its spike graph."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import nn

from spikeformer.conversion import SpikingModel
from spikeformer.data import batch
from spikeformer.encoding import SpikeEncoder
from spikeformer.error_handling import HardwareCompatibilityError, check_positive_int
from spikeformer.hardware.ir.graph import SpikeGraph
from spikeformer.hardware.ir.host import HostFunction
from spikeformer.hardware.lowering import rules as _rules  # noqa: F401  registers the rules
from spikeformer.hardware.lowering.builder import GraphBuilder
from spikeformer.hardware.lowering.converted import lower_converted
from spikeformer.hardware.lowering.registry import check_supported, compute, rule_for
from spikeformer.hardware.lowering.traced import MixedTimeError, recording
from spikeformer.i18n import t
from spikeformer.instrument import Trail, copy_network, uncompiled, unfused, watch_spikes

InputShape: TypeAlias = Sequence[int] | Mapping[str, Sequence[int]]
"""Shape of one sample without the batch axis, or of each input by its argument's name.

An input called "mask" is a padding mask, true at real tokens.
"""


@dataclass(frozen=True)
class Lowered:
    """A network as a spike graph.

    Attributes:
        graph: Populations and projections, in float64.
        encoder: Makes the spike trains of the sources; None where values come in as they are.
        layers: Paths of the layer whose weights a projection has and of the norm that folded into
            them, by the projection's source and target; those that carry no spikes or have no
            weights of a layer are left out.
        host: What the host makes of inputs, by the source that gets its values.
    """

    graph: SpikeGraph
    encoder: SpikeEncoder | None
    layers: Mapping[tuple[str, str], tuple[str, str | None]]
    host: Mapping[str, HostFunction] = field(default_factory=dict)

    def lasting(self, timesteps: int) -> Lowered:
        """Return the network for samples of another length, as recordings longer than training's.

        A chip keeps the neurons' state for as long as a sample lasts, so that all of a recording
        of so many steps runs as one.

        Args:
            timesteps: Steps of a sample.

        Raises:
            HardwareCompatibilityError: What comes in has no time of its own: other timesteps of a
                rate code are another code.
        """
        check_positive_int("timesteps", timesteps)
        if self.encoder is None or not self.encoder.temporal:
            raise HardwareCompatibilityError(t("hardware.has_no_time"))
        encoder = copy.deepcopy(self.encoder)
        encoder.timesteps = timesteps
        return replace(self, graph=replace(self.graph, timesteps=timesteps), encoder=encoder)


def lower(model: nn.Module | Lowered, input_shape: InputShape, *, name: str = "network") -> Lowered:
    """Turn a network into populations and projections that compute the same spikes.

    The network runs once on a tensor that remembers where its elements come from. Batch norm
    folds into weights; currents that residual connections add up become one projection from every
    branch; a product of spikes becomes a neuron that fires when both do. Depths follow from the
    longest path, delays balance the shorter ones.

    Args:
        model: The network, which is not changed; what is lowered already is returned. A converted
            network becomes a graph with a host (`lower_converted`).
        input_shape: Shape of one sample, without the batch axis; a mapping of shapes where the
            network takes its inputs by name, such as `{"input_ids": (64,), "mask": (64,)}`.
        name: Name of the graph.

    Raises:
        HardwareCompatibilityError: A layer is not supported by spiking chips; the message names it.

    Example:
        >>> from spikeformer.neurons import LifNeuron
        >>> from spikeformer.encoding import DirectCoding
        >>> net = nn.Sequential(DirectCoding(4), nn.Linear(3, 2), LifNeuron(reset="zero"))
        >>> lower(net, (3,)).graph.num_neurons
        2
    """
    if isinstance(model, Lowered):
        return model
    if isinstance(model, SpikingModel):
        return Lowered(lower_converted(model, input_shape), None, {})
    check_supported(model)
    net = uncompiled(copy_network(model)).cpu().double().eval()
    builder = GraphBuilder(trail := Trail(net))
    for module in net.modules():
        rule = rule_for(module)
        if rule is not None:
            module.forward = rule(builder)
    try:
        # A watched neuron runs by itself, where it would else be part of a fused kernel.
        watch = watch_spikes(net, lambda path, spikes: None)
        with watch, unfused, trail, torch.no_grad(), recording(partial(compute, builder)):
            output = batch.call(net, _sources(builder, input_shape))
    except MixedTimeError:
        raise builder.refuse(t("hardware.mixes_timesteps")) from None
    encoder = None
    if builder.encoder is not None:
        encoder = uncompiled(copy_network(model)).get_submodule(builder.encoder)
    assert encoder is None or isinstance(encoder, SpikeEncoder)
    return Lowered(builder.graph(output, name), encoder, builder.layers, builder.host)


def _sources(builder: GraphBuilder, shape: InputShape) -> Any:
    if not isinstance(shape, Mapping):
        return builder.source("input", shape, "values")
    return {
        name: builder.mask(name, size) if name == "mask" else builder.source(name, size, "values")
        for name, size in shape.items()
    }
