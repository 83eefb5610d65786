"""The model of SpiNNaker's S16.15, against one neuron at a time in plain integers."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from spikeformer.hardware import Population, Projection, SpikeGraph, simulate
from spikeformer.hardware.ir.operators import TokenLinear
from spikeformer.hardware.targets.spinnaker.fixed_point import (
    Cell,
    shift_of,
    simulate_fixed_point,
    to_fixed,
)
from spikeformer.hardware.targets.spinnaker.network import summed_weights
from tests.hardware.networks import lasting, spikes_for, two_layers


def neuron_by_neuron(graph, population, spikes, constant):
    """Spikes of a population, (samples, timesteps, size), one integer operation at a time."""
    cell = Cell.of(population)
    shifts = [shift_of(total) for total in summed_weights(graph, population)]
    found = np.zeros((len(constant), graph.timesteps, population.size), np.uint8)
    for sample, neuron in np.ndindex(len(constant), population.size):
        membrane, held = 0, [0, 0]
        for step in range(graph.timesteps):
            current = round(constant[sample, neuron] * 2**15)
            for which, (sign, shift) in enumerate(zip((1, -1), shifts, strict=True)):
                buffer = 0
                for projection in graph.incoming(population.name):
                    if projection.source not in spikes:
                        continue
                    weights = projection.operator.matrix().toarray()[neuron]
                    for weight, fired in zip(
                        weights, spikes[projection.source][sample, step], strict=True
                    ):
                        if fired and weight * sign > 0:
                            stored = round(abs(weight) * 2.0 ** (15 - shift))
                            buffer = min(buffer + min(stored, 65535), 65535)
                arriving = buffer << shift
                if decay := population.current_decay:
                    gain = (1 - decay) / -math.log(decay)
                    held[which] = _multiply(held[which], round(decay * 2**32), 32)
                    held[which] += _multiply(arriving, round(gain * 2**32), 32)
                    arriving = held[which]
                current += sign * arriving
            target = _multiply(current, cell.resistance)
            membrane = target - _multiply(target - membrane, cell.decay)
            if membrane >= cell.threshold:
                found[sample, step, neuron] = 1
                membrane = 0
    return found


def _multiply(left, right, bits=15):
    return math.floor(Fraction(left * right, 2**bits) + Fraction(1, 2))


def test_currents_that_last_equal_one_neuron_at_a_time():
    graph = lasting(two_layers(timesteps=6))
    populations = {**graph.populations, "one": replace(graph.populations["one"], bias=None)}
    graph = replace(graph, populations=populations)
    inputs = spikes_for(graph, 4)
    found = simulate_fixed_point(graph, inputs)
    for population in graph.neurons:
        nothing = np.zeros((4, population.size))
        expected = neuron_by_neuron(graph, population, inputs | found, nothing)
        np.testing.assert_array_equal(found[population.name], expected)
    assert found["two"].any()
    reals = simulate(graph, inputs)
    assert sum((found[name] != reals[name]).sum() for name in reals) <= 1


def test_model_equals_one_neuron_at_a_time():
    graph = two_layers(timesteps=6, kind="values")
    inputs = spikes_for(graph, 4)
    found = simulate_fixed_point(graph, inputs)
    currents = graph.currents(inputs)
    for population in graph.neurons:
        expected = neuron_by_neuron(graph, population, found, currents[population.name])
        np.testing.assert_array_equal(found[population.name], expected)
    assert found["one"].any()


def test_spikes_and_biases_share_the_ring_buffers():
    graph = two_layers(timesteps=6)
    inputs = spikes_for(graph, 4)
    found = simulate_fixed_point(graph, inputs)
    silent = np.zeros((4, 3))
    expected = neuron_by_neuron(graph, graph.populations["two"], inputs | found, silent)
    np.testing.assert_array_equal(found["two"], expected)


@pytest.mark.parametrize("decay", [0.0, 0.1, 0.5, 0.9, 0.95])
def test_cells_decay_as_asked(decay):
    cell = Cell.of(Population("p", (1,), decay=decay, threshold=1.25))
    assert cell.threshold == 40960
    assert abs(cell.decay / 2**15 - decay) < 1e-4
    # A current of one adds one.
    assert abs(cell.resistance * (2**15 - cell.decay) / 2**30 - 1) < 1e-3


@pytest.mark.parametrize(
    ("largest", "shift"), [(0.0, 0), (0.3, 0), (0.999, 0), (1.0, 1), (3.9, 2), (4.0, 3), (100.0, 7)]
)
def test_largest_sum_fits_into_sixteen_bits(largest, shift):
    assert shift_of(largest) == shift
    assert largest * 2 ** (15 - shift) <= 2**16
    assert to_fixed(largest) == round(largest * 2**15)


def test_gates_are_exact():
    """Whole numbers have no rounding, so coincidences fire as they should."""
    populations = [
        Population("in", (3,), "spikes"),
        Population("and", (1,), decay=0.0, threshold=1.5, depth=1),
    ]
    weights = Projection("in", "and", TokenLinear(np.array([[1.0, 1.0, -2.0]])))
    graph = SpikeGraph(8, {p.name: p for p in populations}, (weights,))
    cases = np.array([[[int(bit) for bit in f"{n:03b}"] for n in range(8)]], np.uint8)
    found = simulate_fixed_point(graph, {"in": cases})
    np.testing.assert_array_equal(found["and"], simulate(graph, {"in": cases})["and"])
    assert found["and"].ravel().tolist() == [0, 0, 0, 0, 0, 0, 1, 0]


def test_late_spikes_arrive_in_their_own_sample():
    """Weights and thresholds of whole numbers are the same in both arithmetics."""
    weights = [np.array([[1.0, -1.0], [1.0, 1.0]]), np.array([[2.0, 1.0]])]
    populations = [
        Population("in", (2,), "spikes"),
        Population("one", (2,), threshold=1.0, depth=1),
        Population("two", (1,), threshold=2.0, depth=2),
    ]
    projections = (
        Projection("in", "one", TokenLinear(weights[0]), 3, 2),
        Projection("one", "two", TokenLinear(weights[1]), 2, 1),
    )
    graph = SpikeGraph(6, {p.name: p for p in populations}, projections)
    inputs = spikes_for(graph, 8)
    expected, found = simulate(graph, inputs), simulate_fixed_point(graph, inputs)
    assert expected["two"].sum() > 0
    for name, spikes in expected.items():
        np.testing.assert_array_equal(found[name], spikes)
