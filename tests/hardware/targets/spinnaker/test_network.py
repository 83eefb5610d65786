"""A spike graph in the terms of PyNN."""

from __future__ import annotations

import numpy as np
import pytest

from spikeformer.hardware.targets.exchange import unpack_sparse
from spikeformer.hardware.targets.spinnaker.network import is_switched, network_job, summed_weights
from spikeformer.hardware.targets.spinnaker.worker.network import BIAS
from tests.hardware.networks import spikes_for, two_layers


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
