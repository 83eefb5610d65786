"""Loihi 2's integers, against arithmetic on Python's unbounded ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeformer.hardware import (
    IntegerNeurons,
    NumberFormat,
    outputs_of,
    quantise,
    simulate,
    simulate_integers,
    spike_bytes,
)
from spikeformer.hardware.targets.simulation import simulate as module
from spikeformer.hardware.targets.simulation.simulate import Extremes, integer_lif
from tests.hardware.networks import spikes_for, two_layers


def one_neuron(currents, dv, vth):
    """The published update rule of one compartment, in Python's integers."""
    v, spikes = 0, []
    for current in currents:
        decayed = abs(v) * (4096 - dv) // 4096
        v = (decayed if v >= 0 else -decayed) + current
        v = max(-(2**23) + 1, min(2**23 - 1, v))
        spikes.append(int(v > vth * 64))
        v = 0 if spikes[-1] else v
    return spikes


@given(
    currents=st.lists(st.integers(-(2**22), 2**22), min_size=1, max_size=12),
    dv=st.integers(0, 4095),
    vth=st.integers(0, 131071),
)
def test_compartments_follow_the_rule(currents, dv, vth):
    neurons = IntegerNeurons(dv, vth, bias_exp=0, scale=1.0)
    array = np.array(currents, np.int64)[None, :, None]
    assert integer_lif(array, neurons, NumberFormat(), Extremes())[0, :, 0].tolist() == one_neuron(
        currents, dv, vth
    )


def test_states_that_leave_24_bits_are_clipped_and_counted():
    neurons = IntegerNeurons(0, 131071, bias_exp=0, scale=1.0)
    extremes = Extremes()
    currents = np.full((1, 4, 1), -(2**22), np.int64)
    integer_lif(currents, neurons, NumberFormat(), extremes)
    assert extremes.clipped == 3
    assert extremes.low == -(2**23) + 1 - 2**22
    assert extremes.high == 0


@pytest.mark.parametrize("kind", ["spikes", "values"])
def test_integer_graph_by_hand(kind):
    """Sum weights, shift, add the bias: the whole path of a graph, neuron by neuron."""
    graph = two_layers(4, kind=kind)
    integers = quantise(graph)
    inputs = spikes_for(graph, 3)
    spikes, _ = simulate_integers(integers, inputs)
    arrays = {**inputs, **spikes}
    currents = integers.currents(inputs)
    for population in graph.neurons:
        neurons = integers.neurons[population.name]
        for sample in range(3):
            for neuron in range(population.size):
                train = []
                for step in range(4):
                    total = sum(
                        int(
                            p.operator.matrix().toarray()[neuron].astype(int)
                            @ arrays[p.source][sample, step].astype(int)
                        )
                        for p in integers.graph.incoming(population.name)
                        if integers.graph.populations[p.source].kind != "values"
                    )
                    bias = 0
                    if population.name in currents:
                        bias = int(currents[population.name][sample, neuron]) << neurons.bias_exp
                    train.append((total << 6) + bias)
                expected = one_neuron(train, neurons.dv, neurons.vth)
                assert spikes[population.name][sample, :, neuron].tolist() == expected


def test_samples_in_turns_are_the_same(monkeypatch):
    graph = two_layers(4)
    inputs = spikes_for(graph, 9)
    at_once = simulate(graph, inputs)
    monkeypatch.setattr(module, "MAX_ELEMENTS", 40)
    in_turns = simulate(graph, inputs)
    for name, spikes in at_once.items():
        np.testing.assert_array_equal(in_turns[name], spikes)


@pytest.mark.parametrize("most", [1, 2.5, 100])
def test_outputs_are_the_same_in_any_number_of_turns(most):
    graph = two_layers()
    inputs = spikes_for(graph, 7)
    integers = quantise(graph)
    spikes = {**inputs, **simulate(graph, inputs)}
    in_integers = {**inputs, **simulate_integers(integers, inputs)[0]}
    assert spike_bytes(graph) == sum(spikes[p.name][0].nbytes for p in graph.neurons)
    most_bytes = int(most * spike_bytes(graph))
    found = [outputs_of(g, inputs, most_bytes=most_bytes) for g in (graph, integers)]
    np.testing.assert_allclose(found[0], graph.outputs(spikes), rtol=1e-12)
    np.testing.assert_allclose(found[1], graph.outputs(in_integers), rtol=1e-12)
