"""Checks of a network against a neuromorphic chip."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import ceil

import numpy as np

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware.ir.hosted import HostedGraph
from spikeformer.hardware.ir.placement import fan_in, place
from spikeformer.hardware.ir.quantisation import quantise, rounding_error
from spikeformer.hardware.ir.relays import with_relays
from spikeformer.hardware.lowering import obstacles
from spikeformer.i18n import t
from spikeformer.validation.registry import register_check
from spikeformer.validation.result import ValidationLevel as Level
from spikeformer.validation.result import ValidationResult as Result
from spikeformer.validation.targets import HardwareSubject

_LOST_WEIGHTS = 0.5
_ROUNDING = 0.05
"""Rounding error of weights in thresholds, root mean square, that changes many spikes."""
_SENTENCES = re.compile(r"(?<=\.) |(?<=。)")
"""Between two sentences, in Chinese and Japanese too."""


@register_check(HardwareSubject, Level.BASIC)
def has_its_toolchain(subject: HardwareSubject) -> Iterator[Result]:
    """Find targets whose software is not here."""
    try:
        subject.deployer.check()
    except HardwareCompatibilityError as error:
        yield Result(Level.WARNING, str(error), subject.name, t("validation.toolchain_remedy"))


@register_check(HardwareSubject, Level.BASIC)
def has_a_network(subject: HardwareSubject) -> Iterator[Result]:
    """Report that there is no network to check."""
    if subject.model is None:
        message, remedy = t("validation.no_network"), t("validation.no_network_remedy")
        yield Result(Level.INFO, message, subject.name, remedy)


@register_check(HardwareSubject, Level.BASIC)
def layers_are_supported(subject: HardwareSubject) -> Iterator[Result]:
    """Find layers that no spiking chip runs: other neurons and resets, norms, attention."""
    for path, reason in obstacles(subject.model) if subject.model is not None else ():
        message, *remedy = _SENTENCES.split(reason, maxsplit=1)
        yield Result(Level.ERROR, message, path, "".join(remedy))


@register_check(HardwareSubject, Level.STANDARD)
def becomes_populations(subject: HardwareSubject) -> Iterator[Result]:
    """Find networks with operations that are not supported by spiking chips."""
    if isinstance(subject.lowered, Exception):
        message = t("validation.not_lowered", reason=subject.lowered)
        yield Result(Level.CRITICAL, message, subject.name)


@register_check(HardwareSubject, Level.STANDARD)
def synapses_fit_on_a_core(subject: HardwareSubject) -> Iterator[Result]:
    """Find neurons with more synapses than a core's memory holds."""
    graph, limits = subject.graph, subject.deployer.limits
    if graph is None or limits is None:
        return
    most = limits.synapse_bytes_per_core // limits.bytes_per_weight
    for population in graph.neurons:
        widest = int(fan_in(graph, population).max(initial=0))
        if widest > most:
            message = t(
                "validation.too_many_synapses", synapses=widest, chip=limits.name, most=most
            )
            remedy = t("validation.too_many_synapses_remedy")
            yield Result(Level.ERROR, message, population.name, remedy, float(widest))


@register_check(HardwareSubject, Level.STANDARD)
def fits_on_the_board(subject: HardwareSubject) -> Iterator[Result]:
    """Report how many chips it takes, and warn if the board has fewer."""
    graph, limits = subject.graph, subject.deployer.limits
    if graph is None or limits is None:
        return
    try:
        placement = place(with_relays(graph, limits.max_delay), limits)
    except HardwareCompatibilityError:
        return  # what is wrong has a check of its own
    chips, cores = placement.num_chips, placement.num_cores
    message = t("validation.takes_cores", cores=cores, count=chips, type=limits.name)
    most = subject.deployer.chips_per_board
    if most is not None and chips > most:
        remedy = t("validation.takes_cores_remedy", boards=ceil(chips / most))
        yield Result(Level.WARNING, message, subject.name, remedy, float(chips))
    elif not subject.deployer.target.toolchain_places:  # else its placement will say
        yield Result(Level.INFO, message, subject.name, "", float(chips))


@register_check(HardwareSubject, Level.STRICT)
def weights_survive_rounding(subject: HardwareSubject) -> Iterator[Result]:
    """Find what a chip's integers would change: vanished thresholds, lost weights, large biases."""
    graph, numbers = subject.graph, subject.deployer.target.numbers
    if graph is None or numbers is None:
        return
    try:
        integers = quantise(graph, numbers)
    except HardwareCompatibilityError as error:
        yield Result(Level.ERROR, str(error), subject.name)
        return
    if isinstance(graph, HostedGraph):
        return  # each of its neurons has a scale of its own
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
            message = t("validation.weights_lost", share=lost)
            remedy = t("validation.weights_lost_remedy")
            yield Result(Level.WARNING, message, population.name, remedy, lost)
        elif errors[population.name] > _ROUNDING:
            message = t("validation.rounding", error=errors[population.name])
            remedy = t("validation.rounding_remedy")
            yield Result(Level.WARNING, message, population.name, remedy, errors[population.name])
