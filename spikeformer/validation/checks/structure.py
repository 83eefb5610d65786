"""Checks of what a network is made of."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import Tensor, nn

from spikeformer.encoding import SpikeEncoder
from spikeformer.i18n import t
from spikeformer.models import SpikingAttention
from spikeformer.neurons import SpikingNeuron
from spikeformer.neurons.integer_lif import is_integer
from spikeformer.validation.probe import ModelSubject
from spikeformer.validation.registry import register_check
from spikeformer.validation.result import ValidationLevel as Level
from spikeformer.validation.result import ValidationResult as Result

_FORGETS = 1e-6


def neurons_of(model: nn.Module) -> list[tuple[str, SpikingNeuron]]:
    """Return the spiking layers of a network by path."""
    return [(path, m) for path, m in model.named_modules() if isinstance(m, SpikingNeuron)]


@register_check(ModelSubject, Level.BASIC)
def has_spiking_layers(subject: ModelSubject) -> Iterator[Result]:
    """Find a network in which nothing fires."""
    if not neurons_of(subject.model):
        message = t("validation.not_spiking", network=type(subject.model).__name__)
        yield Result(Level.ERROR, message, "", t("validation.not_spiking_remedy"))


@register_check(ModelSubject, Level.BASIC)
def thresholds_can_be_crossed(subject: ModelSubject) -> Iterator[Result]:
    """Find thresholds that make a neuron fire always or never."""
    for path, neuron in neurons_of(subject.model):
        if not 0 < neuron.threshold < math.inf:
            message = t("validation.bad_threshold", threshold=neuron.threshold)
            remedy = t("validation.bad_threshold_remedy")
            yield Result(Level.ERROR, message, path, remedy, float(neuron.threshold))


@register_check(ModelSubject, Level.BASIC)
def membranes_leak(subject: ModelSubject) -> Iterator[Result]:
    """Find decays outside (0, 1): membranes that grow by themselves, or remember nothing."""
    for path, neuron in neurons_of(subject.model):
        decay = getattr(neuron, "decay", None)
        if decay is None:
            continue
        decay = float(decay.detach() if isinstance(decay, Tensor) else decay)
        if not decay <= 1:
            message = t("validation.membrane_grows", decay=decay)
            yield Result(Level.ERROR, message, path, t("validation.membrane_grows_remedy"), decay)
        elif decay < _FORGETS:
            message = t("validation.forgets", decay=decay)
            yield Result(Level.WARNING, message, path, t("validation.forgets_remedy"), decay)


@register_check(ModelSubject, Level.BASIC)
def resets_alike(subject: ModelSubject) -> Iterator[Result]:
    """Find networks that reset some layers softly and others hard."""
    kinds: dict[str, str] = {}
    for path, neuron in neurons_of(subject.model):
        if (reset := getattr(neuron, "reset", None)) is not None:
            kinds.setdefault(reset, path)
    if len(kinds) > 1:
        each = [t("validation.reset_in", kind=kind, path=path) for kind, path in kinds.items()]
        message = t("validation.resets_differ", listed=", ".join(each))
        yield Result(Level.WARNING, message, "", t("validation.resets_differ_remedy"))


@register_check(ModelSubject, Level.BASIC)
def timesteps_agree(subject: ModelSubject) -> Iterator[Result]:
    """Find parts made for different numbers of timesteps, and binary networks without time."""
    found: dict[int, str] = {}
    for path, module in subject.model.named_modules():
        if isinstance(module, SpikeEncoder | SpikingAttention):
            found.setdefault(module.timesteps, path)
    if len(found) > 1:
        each = [
            t("validation.has_timesteps", path=p, timesteps=steps) for steps, p in found.items()
        ]
        message = t("validation.timesteps_differ", listed=", ".join(each))
        yield Result(Level.ERROR, message, "", t("validation.timesteps_differ_remedy"))
    elif set(found) == {1} and not all(is_integer(m) for _, m in neurons_of(subject.model)):
        message, remedy = t("validation.one_timestep"), t("validation.one_timestep_remedy")
        yield Result(Level.INFO, message, found[1], remedy, 1.0)


@register_check(ModelSubject, Level.BASIC)
def dropout_leaves_something(subject: ModelSubject) -> Iterator[Result]:
    """Find dropout that drops everything."""
    for path, module in subject.model.named_modules():
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p >= 1:
            message, remedy = t("validation.drops_all"), t("validation.drops_all_remedy")
            yield Result(Level.ERROR, message, path, remedy, float(module.p))
