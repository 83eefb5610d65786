"""From a network's real weights to a chip's integers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware.ir.graph import Array, Population, Projection, SpikeGraph
from spikeformer.hardware.ir.hosted import Differential, HostedGraph
from spikeformer.hardware.ir.integers import IntegerGraph, IntegerNeurons, NumberFormat
from spikeformer.hardware.ir.operators import Operator, Sparse, TokenLinear, with_weights
from spikeformer.i18n import t


def quantise(graph: SpikeGraph, numbers: NumberFormat | None = None) -> IntegerGraph:
    """Scale every population so that its weights use all their bits, and round.

    With k units to 1 in the network, weights become `round(k W)`, the threshold `k theta` and the
    current `k b`; k is the largest that keeps the weights of all projections into the population
    in range, since they add up in one membrane, and the current, for which weights give up two bits
    at most. Gates and coincidences have integer weights and
    stay exact.

    Args:
        graph: The network.
        numbers: The chip's integers; None for 8-bit weights and 24-bit membranes.

    Raises:
        HardwareCompatibilityError: A population's weights are so large beside its threshold that
            the threshold vanishes, or its bias is larger than mantissa and exponent hold.
    """
    numbers = numbers or NumberFormat()
    if isinstance(graph, HostedGraph):
        # States are in the units of the weights.
        return IntegerGraph(quantise_hosted(graph, numbers), {}, replace(numbers, weight_shift=0))
    neurons: dict[str, IntegerNeurons] = {}
    projections: list[Projection] = []
    for population in graph.neurons:
        incoming = graph.incoming(population.name)
        synapses = [p for p in incoming if graph.populations[p.source].kind != "values"]
        # Where spikes come late, a bias ends with its sample: it comes as values do.
        # So it does where currents last: it is a part of the current.
        biased = population.bias is not None
        has_values = len(synapses) < len(incoming) or bool(
            biased and (graph.lag or population.current_decay)
        )
        fitted = _fit(population, synapses, numbers, has_values=has_values)
        neurons[population.name] = fitted
        for projection in incoming:
            if projection in synapses:
                operator = _rounded(projection.operator, fitted.scale)
                projection = replace(projection, operator=operator)
            projections.append(projection)
    return IntegerGraph(replace(graph, projections=tuple(projections)), neurons, numbers)


UNIT_OF_VALUES = 256
"""Smallest event of neurons that the host drives, in units of their state."""

STATE_HEADROOM = 4
"""How often the largest event fits into a state at least: rates exceed it now and then."""

MAX_LOSS = 4
"""How much smaller than their range weights may be for the sake of state or bias: two bits."""


def quantise_hosted(graph: HostedGraph, numbers: NumberFormat) -> HostedGraph:
    """Return the graph of a converted network in a chip's integers.

    A neuron's weights are `round(k W)` with a `k` of its own, and so is its bias. Its smallest
    event `k u` is an integer, so that what its receivers make of events stays what it was, and
    `k` is the largest that keeps weights in range and `STATE_HEADROOM` of the largest event in the
    state. Populations that the host drives get their values in `UNIT_OF_VALUES`.

    Raises:
        HardwareCompatibilityError: The largest event is so many times the smallest that no state
            holds both, or neurons compute functions, whose numbers no scale is known for.
    """
    if graph.num_functions:
        raise HardwareCompatibilityError(
            "Neurons that compute functions run in real numbers, not in integers. Convert with "
            'functions="exact" for integers, which leaves the functions to the host.'
        )
    room = numbers.max_state // (STATE_HEADROOM * graph.scheme.largest)
    scales = {p.name: _row_scales(graph, p, numbers) for p in graph.differential}
    ideals = {
        p.name: np.floor(scales[p.name] * p.unit)
        for p in graph.differential
        if p.rule == "differential"
    }
    least = max(
        # Values of the host can do with any whole unit; most weights would lose their bits.
        1.0 if p.source else float(np.median(ideals[p.name])) / MAX_LOSS
        for p in graph.differential
        if p.name in ideals
    )
    if room < least:
        largest = int(numbers.max_state / (STATE_HEADROOM * least))
        most = largest.bit_length() - graph.scheme.mantissa
        raise HardwareCompatibilityError(
            t("hardware.too_many_levels", levels=graph.scheme.levels, most=most)
        )
    populations: dict[str, Population] = dict(graph.populations)
    projections: list[Projection] = []
    for p in graph.differential:
        scale, unit = scales[p.name], np.ones(p.size, np.int64)
        if p.name in ideals:
            if (ideals[p.name] < 1).any():
                raise HardwareCompatibilityError(
                    t(
                        "hardware.no_threshold_left",
                        layer=p.name,
                        largest=float(numbers.max_weight / scale.min()),
                        threshold=float(p.unit.min()),
                    )
                )
            unit = np.minimum(ideals[p.name], room).astype(np.int64)
            scale = unit / p.unit
        most = numbers.max_state
        start = np.clip(np.rint(p.start * scale), -most, most).astype(np.int64)
        populations[p.name] = replace(p, unit=unit, start=start, scale=scale)
        for i in graph.incoming(p.name):
            rounded = i.operator.scale_rows(scale)
            weights = np.rint(rounded.weights).astype(np.int32)
            projections.append(replace(i, operator=with_weights(rounded, weights)))
    return replace(
        graph,
        populations=populations,
        projections=tuple(projections),
        scheme=replace(graph.scheme, max_state=numbers.max_state),
    )


def _row_scales(graph: HostedGraph, p: Differential, numbers: NumberFormat) -> Array:
    """Return what makes each neuron's largest weight the largest there is, (size,)."""
    largest = np.zeros(p.size)
    for i in graph.incoming(p.name):
        largest = np.maximum(largest, _row_maxima(i.operator))
    without = UNIT_OF_VALUES / p.unit
    return np.where(largest > 0, numbers.max_weight / np.where(largest > 0, largest, 1.0), without)


def _row_maxima(operator: Operator) -> Array:
    """Return the largest magnitude of each output's weights, (out,)."""
    if isinstance(operator, TokenLinear):
        return np.tile(np.abs(operator.weights).max(axis=1), operator.tokens)
    found: Array = abs(operator.matrix()).max(axis=1).toarray().ravel()
    return found


def _fit(
    population: Population,
    synapses: list[Projection],
    numbers: NumberFormat,
    *,
    has_values: bool,
) -> IntegerNeurons:
    if population.rule == "minimum":  # packed counts, whose weights are 1 and a power of two
        return IntegerNeurons(numbers.decay_one - 1, 0, 0, 1.0)
    weights = [p.operator.weights for p in synapses if p.operator.weights.size]
    largest = max((float(np.abs(w).max()) for w in weights), default=0.0)
    whole = all((w == np.rint(w)).all() for w in weights)
    biased = has_values or population.bias is not None
    if largest == 0:
        # A sample's current has to fit into its mantissa, up to that of all counts.
        vth = min(numbers.threshold_of_values, numbers.max_bias // population.levels)
        scale = vth / population.threshold
    elif whole and not biased and (exact := _exact(population, largest, numbers)) is not None:
        vth, scale = exact
    else:
        scale = numbers.max_weight / largest
        room = numbers.max_bias / population.levels / population.threshold
        if not has_values:
            room = _room_for_bias(population, numbers)
        scale = min(scale, max(room, scale / MAX_LOSS))
        threshold = scale * population.threshold
        # All counts have to fit into the membrane.
        vth = int(min(threshold, numbers.max_threshold // population.levels))
        scale = vth / population.threshold
    remembers = population.decay or population.current_decay
    if vth < 1 and (remembers or population.rule == "count"):
        raise HardwareCompatibilityError(
            t(
                "hardware.no_threshold_left",
                layer=population.name,
                largest=largest,
                threshold=population.threshold,
            )
        )
    dv = min(round(numbers.decay_one * (1 - population.decay)), numbers.decay_one - 1)
    bias_exp = numbers.weight_shift
    if not has_values:
        bias_exp = _bias_exponent(population, scale, numbers)
    du = None
    if population.current_decay:
        du = max(numbers.decay_one - 1 - round(numbers.decay_one * population.current_decay), 0)
    return IntegerNeurons(dv, vth, bias_exp, scale, du)


def _exact(
    population: Population, largest: float, numbers: NumberFormat
) -> tuple[int, float] | None:
    """Return threshold and scale for whole weights, keeping ties; None if counts cannot."""
    if population.rule == "count":
        # A count needs a whole threshold: the largest scale that makes it one.
        most = min(numbers.max_weight // largest, numbers.max_threshold / population.levels)
        for scale in range(max(1, int(most)), 0, -1):
            threshold = population.threshold * scale
            if threshold == round(threshold) <= numbers.max_threshold // population.levels:
                return round(threshold), float(scale)
        return None
    # Without memory one unit will do. It must not be more: the largest decay leaves less than one.
    remembers = population.decay or population.current_decay
    scale = max(1, int(numbers.max_weight // largest)) if remembers else 1
    return int(np.ceil(population.threshold * scale)) - 1, float(scale)


def _room_for_bias(population: Population, numbers: NumberFormat) -> float:
    """Return the largest scale with which the population's bias is in range."""
    largest = 0.0 if population.bias is None else float(np.abs(population.bias).max(initial=0.0))
    most = numbers.max_bias << numbers.max_bias_exp
    return most / (largest * 2**numbers.weight_shift) if largest else math.inf


def _bias_exponent(population: Population, scale: float, numbers: NumberFormat) -> int:
    """Return the smallest exponent with which the population's bias is in range."""
    if population.bias is None:
        return 0
    units = float(np.abs(population.bias).max(initial=0.0)) * scale * 2**numbers.weight_shift
    exponent = int(np.ceil(np.log2(max(units / numbers.max_bias, 1.0))))
    if exponent > numbers.max_bias_exp:
        most = numbers.max_bias << numbers.max_bias_exp
        message = t("validation.bias_too_large", size=units, most=most)
        remedy = t("validation.bias_too_large_remedy")
        raise HardwareCompatibilityError(f"{population.name}: {message} {remedy}")
    return exponent


def _rounded(operator: Operator, scale: float) -> Operator:
    return with_weights(operator, np.rint(operator.weights * scale).astype(np.int32))


def rounding_error(graph: SpikeGraph, integers: IntegerGraph) -> dict[str, float]:
    """Return the root mean square of the weights' rounding errors, by population.

    In units of the population's threshold; 0 where it has no weights.
    """
    errors = {}
    for population in graph.neurons:
        scale = integers.neurons[population.name].scale
        squares, count = 0.0, 0
        pairs = zip(
            graph.incoming(population.name), integers.graph.incoming(population.name), strict=True
        )
        for before, after in pairs:
            if graph.populations[before.source].kind != "values":
                error = _difference(after.operator, before.operator, scale)
                squares += float(np.square(error).sum())
                count += error.size
        errors[population.name] = float(np.sqrt(squares / max(count, 1))) / population.threshold
    return errors


def _difference(after: Operator, before: Operator, scale: float) -> Array:
    """Return the errors of all distinct weights."""
    if isinstance(before, Sparse):  # which drops weights that become zero
        difference: Array = (after.matrix() / scale - before.matrix()).data
        return difference
    return after.weights / scale - before.weights
