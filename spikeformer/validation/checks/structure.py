"""Checks of what a network is made of."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import Tensor, nn

from spikeformer.encoding import SpikeEncoder
from spikeformer.models import SpikingAttention
from spikeformer.neurons import SpikingNeuron
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
        message = f"{type(subject.model).__name__} has no spiking layer."
        yield Result(Level.ERROR, message, "", "Convert it: python train.py pipeline=convert.")


@register_check(ModelSubject, Level.BASIC)
def thresholds_can_be_crossed(subject: ModelSubject) -> Iterator[Result]:
    """Find thresholds that make a neuron fire always or never."""
    for path, neuron in neurons_of(subject.model):
        if not 0 < neuron.threshold < math.inf:
            message = f"Its threshold is {neuron.threshold:g}."
            remedy = "Set it to a finite number above 0."
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
            message = f"Its membrane is multiplied by {decay:.4g} at every step and explodes."
            yield Result(Level.ERROR, message, path, "A decay is exp(-dt / tau_mem).", decay)
        elif decay < _FORGETS:
            message = f"Its membrane keeps {decay:.2g} of itself: it remembers nothing."
            yield Result(Level.WARNING, message, path, "Raise neuron.tau_mem.", decay)


@register_check(ModelSubject, Level.BASIC)
def resets_alike(subject: ModelSubject) -> Iterator[Result]:
    """Find networks that reset some layers softly and others hard."""
    kinds: dict[str, str] = {}
    for path, neuron in neurons_of(subject.model):
        if (reset := getattr(neuron, "reset", None)) is not None:
            kinds.setdefault(reset, path)
    if len(kinds) > 1:
        listed = ", ".join(f"{kind} in {path}" for kind, path in kinds.items())
        remedy = "Chips reset all to zero: use neuron=lif_hard throughout."
        yield Result(Level.WARNING, f"Resets differ: {listed}.", "", remedy)


@register_check(ModelSubject, Level.BASIC)
def timesteps_agree(subject: ModelSubject) -> Iterator[Result]:
    """Find parts made for different numbers of timesteps, and networks without time."""
    found: dict[int, str] = {}
    for path, module in subject.model.named_modules():
        if isinstance(module, SpikeEncoder | SpikingAttention):
            found.setdefault(module.timesteps, path)
    if len(found) > 1:
        listed = ", ".join(f"{path} has {steps}" for steps, path in found.items())
        remedy = "Set one number of timesteps for all."
        yield Result(Level.ERROR, f"Timesteps differ: {listed}.", "", remedy)
    elif set(found) == {1}:
        message = "With one timestep membranes carry nothing on."
        yield Result(Level.INFO, message, found[1], "Raise timesteps for dynamics.", 1.0)


@register_check(ModelSubject, Level.BASIC)
def dropout_leaves_something(subject: ModelSubject) -> Iterator[Result]:
    """Find dropout that drops everything."""
    for path, module in subject.model.named_modules():
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p >= 1:
            message = "It drops everything while training."
            yield Result(Level.ERROR, message, path, "Lower its probability.", float(module.p))
