"""The rows of a compiled network add up to its graph."""

from __future__ import annotations

import numpy as np

from spikeformer.hardware import (
    LOIHI2,
    Extremes,
    HardwareModel,
    NumberFormat,
    activity,
    layer_table,
    place,
    quantise,
    simulate,
    state_ranges,
)
from tests.hardware.networks import spikes_for, two_layers


def test_layer_table_of_a_graph_by_hand():
    graph = two_layers()
    integers = quantise(graph)
    rows = layer_table(HardwareModel("loihi2", graph, None, integers, place(graph, LOIHI2)))
    assert [(r["layer"], r["neurons"], r["synapses"], r["delay_steps"]) for r in rows] == [
        ("one", 5, 20, 1),
        ("two", 3, 27, 2),
    ]
    for row in rows:
        weights = [p.operator.weights for p in integers.graph.incoming(row["layer"])]
        assert row["weights"] == (min(w.min() for w in weights), max(w.max() for w in weights))
        assert (row["cores"], row["synapse_bytes"]) == (1, row["synapses"])
        assert 0 < row["rounding_error"] < 0.05


def test_activity_is_the_share_of_steps_with_a_spike():
    graph = two_layers()
    inputs = spikes_for(graph, 3)
    spikes = simulate(graph, inputs)
    found = activity(HardwareModel("simulation", graph), spikes)
    assert found["one"]["firing_rate"] == np.mean(spikes["one"] == 1)


def test_state_ranges_are_in_units_of_the_weights():
    numbers = NumberFormat(weight_shift=3, max_state=1000)
    (found,) = state_ranges({"one": Extremes(-80.0, 500.0, 2)}, numbers).values()
    assert found == {"state": (-10.0, 62.5), "state_used": 0.5, "clipped": 2}
