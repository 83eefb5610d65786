"""From a network's real weights to the whole numbers of Loihi 2."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware.ir.graph import Array, Population, Projection, SpikeGraph
from spikeformer.hardware.ir.integers import (
    BIAS_LIMIT,
    DECAY_ONE,
    MAX_BIAS_EXP,
    MAX_DV,
    MAX_VTH,
    WEIGHT_SHIFT,
    IntegerGraph,
    IntegerNeurons,
)
from spikeformer.hardware.ir.operators import Operator, Sparse, with_weights
from spikeformer.i18n import t

MAX_WEIGHT = 255
"""Largest absolute weight, of 8 bits: synapses of one sign lie apart from those of the other."""
THRESHOLD_OF_VALUES = 1024
"""Threshold of neurons that get values alone: their currents have 13 bits, not their weights 8."""


def quantise(graph: SpikeGraph) -> IntegerGraph:
    """Scale every population so that its weights use 8 bits, and round.

    With k units to 1 in the network, weights become `round(k W)`, the threshold `k theta` and the
    current `k b`; k is the largest that keeps the weights of all projections into the population
    in range, since they add up in one membrane. Gates and coincidences have whole weights and stay
    exact.

    Raises:
        HardwareCompatibilityError: A population's weights are so large beside its threshold that
            the threshold vanishes.
    """
    neurons: dict[str, IntegerNeurons] = {}
    projections: list[Projection] = []
    for population in graph.neurons:
        incoming = graph.incoming(population.name)
        synapses = [p for p in incoming if graph.populations[p.source].kind != "values"]
        fitted = _fit(population, synapses, has_values=len(synapses) < len(incoming))
        neurons[population.name] = fitted
        for projection in incoming:
            if projection in synapses:
                operator = _rounded(projection.operator, fitted.scale)
                projection = replace(projection, operator=operator)
            projections.append(projection)
    return IntegerGraph(replace(graph, projections=tuple(projections)), neurons)


def _fit(population: Population, synapses: list[Projection], *, has_values: bool) -> IntegerNeurons:
    weights = [p.operator.weights for p in synapses if p.operator.weights.size]
    largest = max((float(np.abs(w).max()) for w in weights), default=0.0)
    whole = all((w == np.rint(w)).all() for w in weights)
    biased = has_values or population.bias is not None
    if largest == 0:
        vth = THRESHOLD_OF_VALUES
        scale = vth / population.threshold
    elif whole and not biased:
        vth, scale = _exact(population, largest)
    else:
        vth = int(min(MAX_WEIGHT / largest * population.threshold, MAX_VTH))
        scale = vth / population.threshold
    if vth < 1 and population.decay:
        raise HardwareCompatibilityError(
            t(
                "hardware.no_threshold_left",
                layer=population.name,
                largest=largest,
                threshold=population.threshold,
            )
        )
    dv = min(round(DECAY_ONE * (1 - population.decay)), MAX_DV)
    bias_exp = WEIGHT_SHIFT if has_values else _bias_exponent(population, scale)
    return IntegerNeurons(dv, vth, bias_exp, scale)


def _exact(population: Population, largest: float) -> tuple[int, float]:
    """Return threshold and scale for whole weights, keeping ties with the threshold."""
    # Without memory one unit will do. It must not be more: what dv = 4095 leaves is less than one.
    scale = 1 if not population.decay else max(1, int(MAX_WEIGHT // largest))
    return int(np.ceil(population.threshold * scale)) - 1, float(scale)


def _bias_exponent(population: Population, scale: float) -> int:
    """Return the smallest exponent with which the population's bias is in range."""
    if population.bias is None:
        return 0
    largest = float(np.abs(population.bias).max()) * scale * 2**WEIGHT_SHIFT
    exponent = int(np.ceil(np.log2(max(largest / BIAS_LIMIT, 1.0))))
    return min(exponent, MAX_BIAS_EXP)


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
