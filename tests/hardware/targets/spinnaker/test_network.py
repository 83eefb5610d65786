"""A spike graph in the terms of PyNN."""

from __future__ import annotations

import numpy as np
import pytest

from spikeformer.hardware.targets.exchange import unpack_sparse
from spikeformer.hardware.targets.spinnaker.network import is_switched, network_job, summed_weights
from spikeformer.hardware.targets.spinnaker.worker.network import BIAS
from tests.hardware.networks import lasting, spikes_for, two_layers, with_a_skip


@pytest.mark.parametrize("kind", ["spikes", "values"])
def test_network_job_holds_every_synapse_and_current(kind):
    graph = two_layers(kind=kind)
    inputs = spikes_for(graph, 4)
    arrays, settings = network_job(graph, inputs)
    found = {
        (p["source"], p["target"]): (p["delay"], unpack_sparse(p["name"], arrays).toarray())
        for p in settings["projections"]
    }
    for projection in graph.synapses:
        delay, weights = found.pop((projection.source, projection.target))
        assert delay == projection.delay
        np.testing.assert_array_equal(weights, projection.operator.matrix().toarray())
    # A bias is a spike in every step of the window; with the sample's values it is a current.
    if kind == "spikes":
        ((ends, (delay, weights)),) = found.items()
        assert (ends, delay) == ((BIAS, "one"), 1)
        np.testing.assert_array_equal(weights[:, 0], graph.populations["one"].bias)
        np.testing.assert_array_equal(arrays["spikes/in"], inputs["in"])
    else:
        assert found == {}
        for name, current in graph.currents(inputs).items():
            np.testing.assert_array_equal(arrays[f"currents/{name}"], current)
    assert (settings["samples"], settings["timesteps"]) == (4, graph.timesteps)
    assert settings["latency"] == graph.latency


def test_what_lasts_comes_a_step_earlier_where_membranes_are_late():
    graph = lasting(with_a_skip())
    inputs = spikes_for(graph, 4)
    (_, plain), (_, late) = (
        network_job(graph, inputs, late_currents=late) for late in (False, True)
    )
    depths = {p["name"]: p["depth"] for p in late["neurons"]}
    assert depths == {"a": 2, "b": 4, "c": 6}
    found = {(p["source"], p["target"]): p["delay"] for p in late["projections"]}
    for source, target in (("in", "a"), ("a", "b"), ("in", "c"), ("a", "c"), ("b", "c")):
        assert found[source, target] == depths[target] - depths.get(source, 0) - 1
    assert {b["name"]: b["depth"] for b in late["biased"]} == {"a": 1, "c": 5}
    # Until currents of decay 0.6 are below the last bit of their largest value.
    faded = late["latency"] - (6 + graph.timesteps)
    assert 0.6**faded < 2**-53
    assert plain["latency"] == graph.latency
    assert {p["delay"] for p in plain["projections"]} == {1, 2, 3}


def test_summed_weights_are_the_most_that_can_arrive():
    graph = two_layers()
    one, two = graph.neurons
    weights = next(p for p in graph.synapses if p.target == "one").operator.matrix().toarray()
    everything = np.column_stack([weights, one.bias])
    expected = [np.maximum(sign * everything, 0).sum(axis=1).max() for sign in (1, -1)]
    assert summed_weights(graph, one) == pytest.approx(expected)
    arriving = [p.operator.matrix().toarray() for p in graph.incoming("two")]
    expected = [np.maximum(sign * np.hstack(arriving), 0).sum(axis=1).max() for sign in (1, -1)]
    assert summed_weights(graph, two) == pytest.approx(expected)


def test_is_switched_where_the_current_comes_with_the_sample():
    graph = two_layers(kind="values")
    assert all(is_switched(graph, population) for population in graph.neurons)
    graph = two_layers(kind="spikes")
    assert not any(is_switched(graph, population) for population in graph.neurons)
