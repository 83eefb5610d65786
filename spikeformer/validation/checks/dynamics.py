"""Checks of what a network does with probe data."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from spikeformer.i18n import t
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
        message, remedy = t("validation.no_probe"), t("validation.no_probe_remedy")
        yield Result(Level.INFO, message, "", remedy)
    elif isinstance(subject.recording, Exception):
        error = subject.recording
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        message = t("validation.does_not_run", reason=reason)
        yield Result(Level.CRITICAL, message, "", t("validation.does_not_run_remedy"))


@register_check(ModelSubject, Level.STANDARD)
def outputs_are_finite(subject: ModelSubject) -> Iterator[Result]:
    """Find NaN and Inf in the outputs."""
    if (ran := subject.ran) and not torch.isfinite(ran.outputs).all():
        bad = int((~torch.isfinite(ran.outputs)).sum())
        message = t("validation.outputs_not_finite", bad=bad, total=ran.outputs.numel())
        yield Result(Level.CRITICAL, message, "", t("validation.check_finite"), float(bad))


@register_check(ModelSubject, Level.STANDARD)
def outputs_have_a_time_axis(subject: ModelSubject) -> Iterator[Result]:
    """Find outputs that losses and readouts cannot use."""
    if (ran := subject.ran) and ran.outputs.ndim < 3:
        message = t("validation.no_time_axis", shape=tuple(ran.outputs.shape))
        yield Result(Level.WARNING, message, "", t("validation.no_time_axis_remedy"))


@register_check(ModelSubject, Level.STANDARD)
def outputs_depend_on_inputs(subject: ModelSubject) -> Iterator[Result]:
    """Find networks whose output does not depend on the input."""
    ran = subject.ran
    if ran and len(ran.outputs) > 1 and bool((ran.outputs == ran.outputs[:1]).all()):
        remedy = t("validation.same_output_remedy")
        yield Result(Level.ERROR, t("validation.same_output"), "", remedy)


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
            remedy = t("validation.dead_remedy")
            yield Result(Level.WARNING, t("validation.dead"), path, remedy, rate)
        elif rate >= _SATURATED and layer.binary:
            remedy = t("validation.saturated_remedy")
            message = t("validation.saturated", rate=rate)
            # A gate that lets everything through is open, which is how attention begins.
            level = Level.INFO if path in gates else Level.WARNING
            yield Result(level, message, path, remedy, rate)


@register_check(ModelSubject, Level.STRICT)
def membranes_stay_bounded(subject: ModelSubject) -> Iterator[Result]:
    """Find membranes that run away."""
    for path, layer in subject.ran.layers.items() if subject.ran else ():
        if not layer.largest_membrane <= _EXPLODED:
            message = t("validation.membrane_explodes", size=layer.largest_membrane)
            remedy = t("validation.membrane_explodes_remedy")
            yield Result(Level.WARNING, message, path, remedy, layer.largest_membrane)


@register_check(ModelSubject, Level.STRICT)
def binary_neurons_fire_binary(subject: ModelSubject) -> Iterator[Result]:
    """Find neurons that promise 0 and 1 and fire something else."""
    for path, layer in subject.ran.layers.items() if subject.ran else ():
        if layer.neuron.binary and not layer.binary:
            message = t("validation.not_binary", neuron=type(layer.neuron).__name__)
            yield Result(Level.ERROR, message, path, t("validation.not_binary_remedy"))


@register_check(ModelSubject, Level.STRICT)
def calls_are_independent(subject: ModelSubject) -> Iterator[Result]:
    """Find state that is carried from one call to the next."""
    if (ran := subject.ran) and not torch.equal(ran.outputs, ran.repeated):
        difference = float((ran.outputs - ran.repeated).abs().max())
        message = t("validation.remembers", difference=difference)
        yield Result(Level.ERROR, message, "", t("validation.remembers_remedy"), difference)


@register_check(ModelSubject, Level.COMPREHENSIVE)
def most_neurons_take_part(subject: ModelSubject) -> Iterator[Result]:
    """Find living layers most of whose neurons are idle."""
    for path, layer in subject.ran.layers.items() if subject.ran else ():
        silent = float(layer.activity.silent.compute())
        if _IDLE_SHARE <= silent < 1:
            message = t("validation.idle", share=silent)
            yield Result(Level.INFO, message, path, t("validation.idle_remedy"), silent)
