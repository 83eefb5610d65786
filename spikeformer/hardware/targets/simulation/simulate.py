"""The spike graph run in NumPy: what every target is compared with.

The graph has no loops, so a population can be computed for all timesteps at once, as soon as those
before it are; delays only say when a chip does the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from spikeformer.hardware.ir.firing import count, count_integers, minimum_of_packed
from spikeformer.hardware.ir.graph import Array, Arrays, Population, SpikeGraph
from spikeformer.hardware.ir.hosted import HostedGraph
from spikeformer.hardware.ir.integers import IntegerGraph, IntegerNeurons, NumberFormat
from spikeformer.hardware.targets.simulation.hosted import HostedRun

MAX_ELEMENTS = 2**25
"""Currents of a population held at once; more samples are run in several turns."""

Fire = Callable[[Population, Array, Array | None], Array]
"""Maps a population, its summed weights (samples, timesteps, size) and its constant current
(samples, size) to spikes."""


@dataclass
class Extremes:
    """Smallest and largest values that a population reached.

    Attributes:
        low: Smallest membrane before a reset.
        high: Largest membrane before a reset.
        clipped: How often the membrane, or the current of a sample, left its range.
    """

    low: float = 0.0
    high: float = 0.0
    clipped: int = 0


def simulate(graph: SpikeGraph, inputs: Arrays) -> dict[str, Array]:
    """Run a spike graph in float64.

    Args:
        graph: The graph.
        inputs: Arrays of its sources.

    Returns:
        Spikes of every population of kind "lif", uint8 (samples, timesteps, size); of a converted
        network its events, int32, and sums and changes, float64.
    """
    if isinstance(graph, HostedGraph):
        return HostedRun(graph).run(inputs).events

    def fire(population: Population, summed: Array, constant: Array | None) -> Array:
        if population.rule == "minimum":
            return minimum_of_packed(np.rint(summed), population.levels).astype(np.uint8)
        membrane = np.zeros((len(summed), population.size))
        current = np.zeros_like(membrane)
        spikes = np.empty(summed.shape, np.uint8)
        for step in range(summed.shape[1]):
            current *= population.current_decay
            current += summed[:, step]
            if constant is not None:
                current += constant
            membrane *= population.decay
            membrane += current
            if population.rule == "count":
                counted = count(membrane, population.threshold, population.levels)
                spikes[:, step] = counted
                membrane -= population.threshold * counted
            else:
                fired = membrane >= population.threshold
                spikes[:, step] = fired
                membrane[fired] = 0.0
        return spikes

    return _run(graph, inputs, graph.currents(inputs), fire)


def simulate_integers(
    graph: IntegerGraph, inputs: Arrays
) -> tuple[dict[str, Array], dict[str, Extremes]]:
    """Run an integer graph as the chip's fixed-point arithmetic does, bit for bit.

    Returns:
        Spikes of every population of kind "lif", uint8 (samples, timesteps, size), and the
        extremes of its membranes, in their units.
    """
    if isinstance(graph.graph, HostedGraph):
        run = HostedRun(graph.graph).run(inputs)
        return run.events, {p.name: _extremes(run, p.name) for p in graph.graph.neurons}
    numbers = graph.format
    extremes = {name: Extremes() for name in graph.neurons}
    for name, mantissa in graph.mantissas(inputs).items():
        extremes[name].clipped = int((np.abs(mantissa) > numbers.max_bias).sum())

    def fire(population: Population, summed: Array, constant: Array | None) -> Array:
        if population.rule == "minimum":
            return minimum_of_packed(np.rint(summed), population.levels).astype(np.uint8)
        neurons = graph.neurons[population.name]
        current = np.rint(summed).astype(np.int64) << numbers.weight_shift
        if constant is not None:
            current += (constant.astype(np.int64) << neurons.bias_exp)[:, None]
        levels = population.levels if population.graded else 0
        return integer_lif(current, neurons, numbers, extremes[population.name], levels)

    return _run(graph.graph, inputs, graph.currents(inputs), fire), extremes


def _extremes(run: HostedRun, name: str) -> Extremes:
    found = run.neurons.get(name)
    clipped = run.clipped.get(name, 0)
    if found is None:
        sums = run.events[name]
        return Extremes(float(sums.min(initial=0)), float(sums.max(initial=0)), clipped)
    most = float(found.extreme.max(initial=0))
    return Extremes(-most, most, clipped + int(found.clipped.sum()))


def outputs_of(
    graph: SpikeGraph | IntegerGraph, inputs: Arrays, *, most_bytes: int = 2**30
) -> Array:
    """Return a graph's outputs, (samples, ...), for any number of samples.

    Samples run in turns whose spikes fit into a size of memory, so that ten thousand images run
    where the spikes of all of them would not fit. In float64 or, for an `IntegerGraph`, in the
    chip's fixed-point arithmetic.

    Args:
        graph: The graph, which has a readout.
        inputs: Arrays of its sources.
        most_bytes: Memory for the spikes of a turn; one sample runs in any case.
    """
    whole = graph.graph if isinstance(graph, IntegerGraph) else graph
    turn = max(1, most_bytes // spike_bytes(whole))
    outputs = []
    for start in range(0, len(next(iter(inputs.values()))), turn):
        part = {name: array[start : start + turn] for name, array in inputs.items()}
        if isinstance(graph, IntegerGraph):
            spikes, _ = simulate_integers(graph, part)
        else:
            spikes = simulate(graph, part)
        outputs.append(whole.outputs({**part, **spikes}))
    return np.concatenate(outputs)


def spike_bytes(graph: SpikeGraph) -> int:
    """Return the memory of all spikes of one sample.

    A byte for each neuron and timestep; of a converted network 4 for an event, 8 for a sum or a
    change.
    """
    sizes = {"differential": 4, "sum": 8, "change": 8}
    return graph.timesteps * sum(p.size * sizes.get(p.rule, 1) for p in graph.neurons)


def integer_lif(
    current: Array,
    neurons: IntegerNeurons,
    numbers: NumberFormat,
    extremes: Extremes,
    levels: int = 0,
) -> Array:
    """Fire at currents (samples, timesteps, size), int64 in the membrane's units.

    With `levels`, neurons send counts up to it.
    """
    threshold = neurons.vth << numbers.weight_shift
    one, most = numbers.decay_one, numbers.max_state
    membrane = np.zeros((current.shape[0], current.shape[2]), np.int64)
    held = np.zeros_like(membrane)
    spikes = np.empty(current.shape, np.uint8)
    for step in range(current.shape[1]):
        arriving = current[:, step]
        if neurons.du is not None:
            held = _decayed(held, one - 1 - neurons.du, one) + arriving
            arriving = _wrapped(held, most + 1)
            extremes.clipped += int((arriving != held).sum())
            held = arriving
        membrane = _decayed(membrane, one - neurons.dv, one) + arriving
        inside = membrane.clip(-most, most)
        extremes.low = min(extremes.low, float(membrane.min(initial=0)))
        extremes.high = max(extremes.high, float(membrane.max(initial=0)))
        extremes.clipped += int((inside != membrane).sum())
        if levels:
            counted = count_integers(inside, threshold, levels)
            spikes[:, step] = counted
            membrane = inside - threshold * counted
        else:
            fired = inside > threshold
            spikes[:, step] = fired
            membrane = np.where(fired, 0, inside)
    return spikes


def _decayed(state: Array, factor: int, one: int) -> Array:
    """Return `state * factor / one`, rounded towards zero."""
    magnitude = np.abs(state) * factor // one
    return np.copysign(magnitude, state).astype(np.int64)


def _wrapped(state: Array, end: int) -> Array:
    """Return a state that goes on at one end of its range where it leaves the other."""
    beyond = np.where(state > end, state - 2 * end, state)
    return np.where(state <= -end, state + 2 * end, beyond)


def _run(graph: SpikeGraph, inputs: Arrays, constants: Arrays, fire: Fire) -> dict[str, Array]:
    spikes: dict[str, Array] = {
        source.name: inputs[source.name] for source in graph.sources if source.kind == "spikes"
    }
    samples = len(next(iter(inputs.values())))
    for population in graph.neurons:
        fired = np.empty((samples, graph.timesteps, population.size), np.uint8)
        for part in _parts(samples, graph.timesteps * population.size):
            summed = np.zeros(fired[part].shape)
            for projection in graph.incoming(population.name):
                if projection.source in spikes:
                    arriving = projection.arriving(spikes[projection.source][part])
                    summed += projection.operator.apply(arriving)
            constant = constants.get(population.name)
            fired[part] = fire(population, summed, None if constant is None else constant[part])
        spikes[population.name] = fired
    return {population.name: spikes[population.name] for population in graph.neurons}


def _parts(samples: int, elements: int) -> Iterator[slice]:
    size = max(1, MAX_ELEMENTS // max(1, elements))
    for start in range(0, samples, size):
        yield slice(start, start + size)
