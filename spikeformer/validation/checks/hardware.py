"""Checks of a network against a neuromorphic chip."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

import numpy as np

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware.integer_graph import BIAS_LIMIT, MAX_BIAS_EXP, WEIGHT_SHIFT
from spikeformer.hardware.lowering import obstacles
from spikeformer.hardware.placement import fan_in, place
from spikeformer.hardware.quantisation import quantise, rounding_error
from spikeformer.validation.registry import register_check
from spikeformer.validation.result import ValidationLevel as Level
from spikeformer.validation.result import ValidationResult as Result
from spikeformer.validation.targets import HardwareSubject

_LOST_WEIGHTS = 0.5
_ROUNDING = 0.05
"""Rounding error of weights in thresholds, root mean square, that changes many spikes."""


@register_check(HardwareSubject, Level.BASIC)
def has_its_toolchain(subject: HardwareSubject) -> Iterator[Result]:
    """Find targets whose software is not here."""
    try:
        subject.deployer.check()
    except HardwareCompatibilityError as error:
        yield Result(Level.WARNING, str(error), subject.name, "The checks below need none.")


@register_check(HardwareSubject, Level.BASIC)
def has_a_network(subject: HardwareSubject) -> Iterator[Result]:
    """Tell if there is no network to check."""
    if subject.model is None:
        message = "No network was checked."
        remedy = "Validate one first: validate_model(model), or pass model=."
        yield Result(Level.INFO, message, subject.name, remedy)


@register_check(HardwareSubject, Level.BASIC)
def layers_have_a_place(subject: HardwareSubject) -> Iterator[Result]:
    """Find layers that no spiking chip runs: other neurons and resets, norms, attention."""
    for path, reason in obstacles(subject.model) if subject.model is not None else ():
        message, _, remedy = reason.partition(". ")
        yield Result(Level.ERROR, f"{message.rstrip('.')}.", path, remedy)


@register_check(HardwareSubject, Level.STANDARD)
def becomes_populations(subject: HardwareSubject) -> Iterator[Result]:
    """Find networks whose operations have no place on a chip."""
    if isinstance(subject.lowered, Exception):
        yield Result(Level.CRITICAL, f"It cannot be lowered: {subject.lowered}", subject.name)


@register_check(HardwareSubject, Level.STANDARD)
def synapses_fit_on_a_core(subject: HardwareSubject) -> Iterator[Result]:
    """Find neurons with more synapses than a core's memory holds."""
    graph, limits = subject.graph, subject.limits
    if graph is None or limits is None:
        return
    most = limits.synapse_bytes_per_core // limits.bytes_per_weight
    for population in graph.neurons:
        widest = int(fan_in(graph, population).max(initial=0))
        if widest > most:
            message = f"A neuron has {widest:,} synapses; a core of {limits.name} holds {most:,}."
            remedy = "Use fewer channels or tokens."
            yield Result(Level.ERROR, message, population.name, remedy, float(widest))


@register_check(HardwareSubject, Level.STANDARD)
def delays_are_bridged(subject: HardwareSubject) -> Iterator[Result]:
    """Find spikes that would have to wait longer than the chip lets them."""
    graph, limits = subject.graph, subject.limits
    if graph is None or limits is None or limits.max_delay is None:
        return
    for projection in graph.synapses:
        if projection.delay > limits.max_delay:
            message = (
                f"Spikes of {projection.source} must wait {projection.delay} steps; "
                f"{limits.name} delays by {limits.max_delay} at most."
            )
            remedy = "Use fewer blocks (model.num_layers)."
            yield Result(Level.ERROR, message, projection.target, remedy, float(projection.delay))


@register_check(HardwareSubject, Level.STANDARD)
def fits_on_the_board(subject: HardwareSubject) -> Iterator[Result]:
    """Tell how many chips it takes, and warn if the board has fewer."""
    graph, limits = subject.graph, subject.limits
    if graph is None or limits is None:
        return
    try:
        placement = place(graph, limits)
    except HardwareCompatibilityError:
        return  # what is wrong has a check of its own
    chips, cores = placement.num_chips, placement.num_cores
    message = f"It takes {cores:,} cores on {chips:,} chips of type {limits.name}."
    if subject.chips_per_board is not None and chips > subject.chips_per_board:
        boards = ceil(chips / subject.chips_per_board)
        remedy = f"Use {boards} boards, a larger one, or a smaller network."
        yield Result(Level.WARNING, message, subject.name, remedy, float(chips))
    else:
        yield Result(Level.INFO, message, subject.name, "", float(chips))


@register_check(HardwareSubject, Level.STRICT)
def weights_survive_rounding(subject: HardwareSubject) -> Iterator[Result]:
    """Find populations that 8-bit weights would change: vanished thresholds, lost weights."""
    graph = subject.graph
    if graph is None or not subject.deployer.rounds:
        return
    try:
        integers = quantise(graph)
    except HardwareCompatibilityError as error:
        yield Result(Level.ERROR, str(error), subject.name)
        return
    errors = rounding_error(graph, integers)
    for population in graph.neurons:
        scale = integers.neurons[population.name].scale
        incoming = graph.incoming(population.name)
        synapses = [p for p in incoming if graph.populations[p.source].kind != "values"]
        weights = [p.operator.weights.ravel() for p in synapses if p.operator.weights.size]
        if not weights:
            continue
        real = np.concatenate(weights)
        used = real != 0
        lost = float((np.rint(real[used] * scale) == 0).mean()) if used.any() else 0.0
        if lost > _LOST_WEIGHTS:
            message = f"{lost:.1%} of its weights round to zero beside the largest."
            remedy = "Clip outliers among the weights, or train on with hardware.qat_epochs=5."
            yield Result(Level.WARNING, message, population.name, remedy, lost)
        elif errors[population.name] > _ROUNDING:
            message = f"Rounding moves its weights by {errors[population.name]:.2g} thresholds."
            remedy = "Train on with the rounded weights: hardware.qat_epochs=5."
            yield Result(Level.WARNING, message, population.name, remedy, errors[population.name])


@register_check(HardwareSubject, Level.STRICT)
def biases_are_in_range(subject: HardwareSubject) -> Iterator[Result]:
    """Find biases that the chip's mantissa and exponent cannot hold."""
    graph = subject.graph
    if graph is None or not subject.deployer.rounds:
        return
    try:
        integers = quantise(graph)
    except HardwareCompatibilityError:
        return
    most = BIAS_LIMIT << MAX_BIAS_EXP
    for population in graph.neurons:
        if population.bias is None:
            continue
        scale = integers.neurons[population.name].scale
        largest = float(np.abs(population.bias).max()) * scale * 2**WEIGHT_SHIFT
        if largest > most:
            message = f"Its bias takes {largest:,.0f} units; {most:,} are the most."
            remedy = "Train with weight decay on biases, or normalise before the neuron."
            yield Result(Level.ERROR, message, population.name, remedy, largest)
