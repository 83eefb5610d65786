"""A graph's integers: the mantissas of its currents."""

from __future__ import annotations

import numpy as np

from spikeformer.hardware import IntegerGraph, IntegerNeurons, NumberFormat, quantise
from tests.hardware.networks import two_layers


def test_integer_graph_mantissas_are_currents_in_units_of_the_membrane():
    graph = two_layers(kind="values")
    values = {"in": np.linspace(-1.0, 1.0, 8).reshape(2, 4)}
    numbers = NumberFormat(weight_shift=6)
    neurons = {
        "one": IntegerNeurons(0, 100, 6, 32.0),
        "two": IntegerNeurons(0, 100, 3, 64.0),
    }
    found = IntegerGraph(graph, neurons, numbers).mantissas(values)
    for name, scale in (("one", 32.0), ("two", 64.0 * 2**3)):
        (projection,) = [p for p in graph.projections if (p.source, p.target) == ("in", name)]
        bias = graph.populations[name].bias
        current = values["in"] @ projection.operator.weights.T + (0 if bias is None else bias)
        np.testing.assert_array_equal(found[name], np.rint(current * scale))


def test_integer_graph_currents_stop_at_the_largest_bias():
    graph = two_layers(kind="values")
    numbers = NumberFormat(max_bias=7)
    values = {"in": np.full((1, 4), 1e6)}
    integers = IntegerGraph(
        graph, {name: IntegerNeurons(0, 1, 6, 1.0) for name in ("one", "two")}, numbers
    )
    found, beyond = integers.currents(values), integers.mantissas(values)
    for name, mantissa in beyond.items():
        assert found[name].dtype == np.int32
        np.testing.assert_array_equal(found[name], np.sign(mantissa) * 7)


def test_quantised_weights_and_thresholds_keep_to_the_number_format():
    numbers = NumberFormat(max_weight=31, max_threshold=1023)
    integers = quantise(two_layers(), numbers)
    weights = [p.operator.weights for p in integers.graph.synapses]
    assert 0 < max(abs(w).max() for w in weights) <= 31
    assert all(0 < neurons.vth <= 1023 for neurons in integers.neurons.values())
