"""Checks of what a network does with probe data."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from spikeformer.models.mechanisms import AttentionMechanism
from spikeformer.validation.probe import ModelSubject
from spikeformer.validation.registry import register_check
from spikeformer.validation.result import ValidationLevel as Level
from spikeformer.validation.result import ValidationResult as Result

_SATURATED = 0.95
_EXPLODED = 100.0
"""Thresholds that a membrane may reach in a run without being called exploded."""
_IDLE_SHARE = 0.9


@register_check(ModelSubject, Level.STANDARD)
def runs(subject: ModelSubject) -> Iterator[Result]:
    """Run the network; everything after builds on that."""
    if subject.recording is None:
        message = "It does not say what it takes, so that nothing was run."
        yield Result(Level.INFO, message, "", "Pass a batch: validate_model(model, probe=batch).")
    elif isinstance(subject.recording, Exception):
        error = subject.recording
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        remedy = "Check the shapes of its layers, or pass a batch that it takes as probe."
        yield Result(Level.CRITICAL, f"It does not run: {reason}", "", remedy)


@register_check(ModelSubject, Level.STANDARD)
def outputs_are_finite(subject: ModelSubject) -> Iterator[Result]:
    """Find NaN and Inf in the outputs."""
    if (ran := subject.ran) and not torch.isfinite(ran.outputs).all():
        bad = int((~torch.isfinite(ran.outputs)).sum())
        message = f"{bad:,} of {ran.outputs.numel():,} outputs are NaN or Inf on finite inputs."
        remedy = "neuron.check_finite=true finds the layer."
        yield Result(Level.CRITICAL, message, "", remedy, float(bad))


@register_check(ModelSubject, Level.STANDARD)
def outputs_have_a_time_axis(subject: ModelSubject) -> Iterator[Result]:
    """Find outputs that losses and readouts cannot use."""
    if (ran := subject.ran) and ran.outputs.ndim < 3:
        message = (
            f"Outputs have the shape {tuple(ran.outputs.shape)}, without an axis of timesteps."
        )
        yield Result(
            Level.WARNING,
            message,
            "",
            "Return (batch, timesteps, ...); the loss averages over time.",
        )


@register_check(ModelSubject, Level.STANDARD)
def outputs_depend_on_inputs(subject: ModelSubject) -> Iterator[Result]:
    """Find networks that answer every input alike."""
    ran = subject.ran
    if ran and len(ran.outputs) > 1 and bool((ran.outputs == ran.outputs[:1]).all()):
        remedy = "Look for silent layers below: lower thresholds, or scale the input up."
        yield Result(Level.ERROR, "Every input gets the same output.", "", remedy)


@register_check(ModelSubject, Level.STANDARD)
def layers_are_alive(subject: ModelSubject) -> Iterator[Result]:
    """Find layers that never or always fire."""
    gates = {
        f"{path}.neuron"
        for path, module in subject.model.named_modules()
        if isinstance(module, AttentionMechanism)
    }
    for path, layer in subject.ran.layers.items() if subject.ran else ():
        rate = float(layer.activity.firing_rate.compute())
        if rate == 0:
            remedy = "Lower its threshold, or scale up what flows into it."
            yield Result(Level.WARNING, "It never fires (dead).", path, remedy, rate)
        elif rate >= _SATURATED and layer.binary:
            remedy = "Raise its threshold, or scale down what flows into it."
            message = f"It fires in {rate:.1%} of all timesteps (saturated)."
            # A gate that lets everything through is open, which is how attention begins.
            level = Level.INFO if path in gates else Level.WARNING
            yield Result(level, message, path, remedy, rate)


@register_check(ModelSubject, Level.STRICT)
def membranes_stay_bounded(subject: ModelSubject) -> Iterator[Result]:
    """Find membranes that run away."""
    for path, layer in subject.ran.layers.items() if subject.ran else ():
        if not layer.largest_membrane <= _EXPLODED:
            message = f"A membrane reaches {layer.largest_membrane:.3g} thresholds (exploding)."
            remedy = "Normalise what flows into it, or use reset=zero."
            yield Result(Level.WARNING, message, path, remedy, layer.largest_membrane)


@register_check(ModelSubject, Level.STRICT)
def binary_neurons_fire_binary(subject: ModelSubject) -> Iterator[Result]:
    """Find neurons that promise 0 and 1 and fire something else."""
    for path, layer in subject.ran.layers.items() if subject.ran else ():
        if layer.neuron.binary and not layer.binary:
            message = (
                f"{type(layer.neuron).__name__} says that its spikes are 0 or 1; they are not."
            )
            remedy = "Return False from its property `binary`: ops behind it keep one bit of each."
            yield Result(Level.ERROR, message, path, remedy)


@register_check(ModelSubject, Level.STRICT)
def calls_are_independent(subject: ModelSubject) -> Iterator[Result]:
    """Find state that is carried from one call to the next."""
    if (ran := subject.ran) and not torch.equal(ran.outputs, ran.repeated):
        difference = float((ran.outputs - ran.repeated).abs().max())
        message = f"The same input gives another output the second time (by {difference:.3g})."
        remedy = "Something keeps its state between calls: pass states in and out instead."
        yield Result(Level.ERROR, message, "", remedy, difference)


@register_check(ModelSubject, Level.COMPREHENSIVE)
def most_neurons_take_part(subject: ModelSubject) -> Iterator[Result]:
    """Tell of living layers most of whose neurons are idle."""
    for path, layer in subject.ran.layers.items() if subject.ran else ():
        silent = float(layer.activity.silent.compute())
        if _IDLE_SHARE <= silent < 1:
            message = f"{silent:.1%} of its neurons never fired on the probe."
            remedy = "On more data some may; else the layer is too wide."
            yield Result(Level.INFO, message, path, remedy, silent)
