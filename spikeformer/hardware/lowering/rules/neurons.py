"""Rules for spiking neurons, and for what only they can refuse."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from spikeformer.hardware.ir.firing import MAX_LEVELS
from spikeformer.hardware.lowering.builder import GraphBuilder
from spikeformer.hardware.lowering.registry import lowers, refuses
from spikeformer.hardware.lowering.traced import Rows, TracedTensor
from spikeformer.i18n import t
from spikeformer.models.mechanisms import SpikingSelfAttention
from spikeformer.neurons import CubaLifNeuron, IntegerLifNeuron, LifNeuron, SpikingNeuron
from spikeformer.neurons.base import Norm
from spikeformer.ops import LifState


@lowers(LifNeuron)
def lif(
    builder: GraphBuilder,
    module: LifNeuron,
    current: TracedTensor,
    state: LifState | None = None,
    *,
    norm: Norm | None = None,
) -> TracedTensor:
    """Add a population of the neurons of (1, timesteps, *features)."""
    rows, shape = _integrated(builder, current, state, norm)
    return builder.neurons(
        rows.features,
        shape,
        decay=float(module.decay),
        threshold=float(module.threshold),
    )


@lowers(CubaLifNeuron)
def cuba_lif(
    builder: GraphBuilder,
    module: CubaLifNeuron,
    current: TracedTensor,
    state: LifState | None = None,
    *,
    norm: Norm | None = None,
) -> TracedTensor:
    """Add a population whose currents last, of (1, timesteps, *features)."""
    rows, shape = _integrated(builder, current, state, norm)
    return builder.neurons(
        rows.features,
        shape,
        decay=float(module.decay),
        threshold=module.threshold,
        current_decay=module.current_decay,
    )


@lowers(IntegerLifNeuron)
def integer_lif(
    builder: GraphBuilder,
    module: IntegerLifNeuron,
    current: TracedTensor,
    state: LifState | None = None,
    *,
    norm: Norm | None = None,
) -> TracedTensor:
    """Add a population that counts the spikes of (1, timesteps, *features)."""
    rows, shape = _integrated(builder, current, state, norm)
    return builder.neurons(
        rows.features,
        shape,
        decay=module.decay,
        threshold=module.threshold,
        rule="count",
        levels=module.max_spikes,
    )


def _integrated(
    builder: GraphBuilder, current: TracedTensor, state: LifState | None, norm: Norm | None
) -> tuple[Rows, torch.Size]:
    """Return what neurons integrate as one row of features, and the shape of one timestep."""
    if state is not None or isinstance(norm, partial):
        raise builder.refuse(t("hardware.called_with_state"))
    if norm is not None:
        current = norm(current)  # type: ignore[assignment]
    builder.check_timesteps(current.shape[1])
    return Rows(current, current.ndim - 2), current.shape[2:]


@refuses(SpikingNeuron)
def has_other_dynamics(module: SpikingNeuron) -> str:
    """Refuse neurons that are not described by LIF."""
    return t("hardware.other_dynamics")


@refuses(IntegerLifNeuron)
def is_no_plain_counter(module: IntegerLifNeuron) -> str | None:
    """Refuse subclasses that do something else, and more levels than a graded spike has."""
    if type(module) is not IntegerLifNeuron or module.max_spikes > MAX_LEVELS:
        return has_other_dynamics(module)
    return None


@refuses(LifNeuron)
def resets_softly(module: LifNeuron) -> str | None:
    """Refuse what the chips' toolchains do not offer."""
    plain = module.binary and module._lif_arguments()["adaptation_decay"] is None
    if not plain:
        return has_other_dynamics(module)
    if module.reset != "zero":
        return t("hardware.soft_reset", reset=module.reset)
    return None


@refuses(nn.RNNBase, nn.RNNCellBase)
def is_recurrent(module: nn.Module) -> str:
    """Refuse states of real numbers."""
    return t("hardware.recurrent")


@refuses(SpikingSelfAttention)
def multiplies_queries_and_keys(module: SpikingSelfAttention) -> str:
    """Refuse the product of two tensors that change at run time."""
    return t("hardware.multiplies_queries")
