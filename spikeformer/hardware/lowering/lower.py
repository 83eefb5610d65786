"""From a network to its spike graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from spikeformer.encoding import SpikeEncoder
from spikeformer.hardware.ir.graph import SpikeGraph
from spikeformer.hardware.lowering import rules as _rules  # noqa: F401  registers the rules
from spikeformer.hardware.lowering.builder import GraphBuilder
from spikeformer.hardware.lowering.registry import check_supported, compute, rule_for
from spikeformer.hardware.lowering.traced import MixedTimeError, recording
from spikeformer.i18n import t
from spikeformer.instrument import Trail, copy_network, uncompiled, unfused, watch_spikes


@dataclass(frozen=True)
class Lowered:
    """A network as a spike graph.

    Attributes:
        graph: Populations and projections, in float64.
        encoder: Makes the spike trains of the sources; None where values come in as they are.
        layers: Paths of the layer whose weights a projection has and of the norm that folded into
            them, by the projection's source and target; those that carry no spikes or have no
            weights of a layer are left out.
    """

    graph: SpikeGraph
    encoder: SpikeEncoder | None
    layers: Mapping[tuple[str, str], tuple[str, str | None]]


def lower(
    model: nn.Module | Lowered, input_shape: Sequence[int], *, name: str = "network"
) -> Lowered:
    """Turn a network into populations and projections that compute the same spikes.

    The network runs once on a tensor that remembers where its elements come from. Batch norm
    folds into weights; currents that residual connections add up become one projection from every
    branch; a product of spikes becomes a neuron that fires when both do. Depths follow from the
    longest path, delays balance the shorter ones.

    Args:
        model: The network, which is not changed; what is lowered already is returned.
        input_shape: Shape of one sample, without the batch axis.
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
            output = net(builder.source("input", input_shape, "values"))
    except MixedTimeError:
        raise builder.refuse(t("hardware.mixes_timesteps")) from None
    encoder = None
    if builder.encoder is not None:
        encoder = uncompiled(copy_network(model)).get_submodule(builder.encoder)
    assert encoder is None or isinstance(encoder, SpikeEncoder)
    return Lowered(builder.graph(output, name), encoder, builder.layers)
