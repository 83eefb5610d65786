"""What SANA-FE's worker is given, and the cores that it takes."""

from __future__ import annotations

import numpy as np
import pytest

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import Population, SpikeGraph, place
from spikeformer.hardware.targets.exchange import unpack_sparse
from spikeformer.hardware.targets.sanafe.network import UNIT, network_job, num_cores, relays
from spikeformer.hardware.targets.sanafe.target import LOIHI
from tests.hardware.networks import spikes_for, two_layers, with_a_skip


def test_relays_stand_for_the_steps_of_a_delay_but_the_last():
    graph = with_a_skip()
    sizes = {relay.name: relay.size for relay in relays(graph)}
    assert sizes == {"in.relay_1": 5, "in.relay_2": 5, "a.relay_2": 6}
    assert relays(two_layers(kind="values")) == []


def test_num_cores_are_at_most_the_128_of_a_chip():
    graph = with_a_skip()
    assert num_cores(graph, place(graph, LOIHI), LOIHI) == 3 + 1 + 3
    wide = SpikeGraph(
        1,
        {
            "in": Population("in", (128 * 1024,), "spikes"),
            "a": Population("a", (1,), depth=1),
        },
        (),
    )
    with pytest.raises(HardwareCompatibilityError, match="129 cores"):
        num_cores(wide, place(wide, LOIHI), LOIHI)


def test_network_job_lets_spikes_wait_in_relays():
    graph = with_a_skip()
    arrays, settings = network_job(graph, place(graph, LOIHI), spikes_for(graph, 2))
    joined = {
        (p["source"], p["target"]): unpack_sparse(p["name"], arrays).toarray() / UNIT
        for p in settings["projections"]
    }
    np.testing.assert_array_equal(joined.pop(("in", "in.relay_1")), np.eye(5))
    np.testing.assert_array_equal(joined.pop(("in.relay_1", "in.relay_2")), np.eye(5))
    np.testing.assert_array_equal(joined.pop(("a", "a.relay_2")), np.eye(6))
    for projection in graph.synapses:
        depth = graph.populations[projection.source].depth + projection.delay - 1
        waits = f".relay_{depth}" if projection.delay > 1 else ""
        found = joined.pop((projection.source + waits, projection.target))
        np.testing.assert_array_equal(found, projection.operator.matrix().toarray())
    assert joined == {}


def test_network_job_fires_at_the_threshold_and_not_only_above_it():
    graph = with_a_skip()
    _, settings = network_job(graph, place(graph, LOIHI), spikes_for(graph, 2))
    thresholds = {group["name"]: group.get("threshold") for group in settings["groups"]}
    for population in graph.neurons:
        limit = np.float32(thresholds[population.name])
        assert limit < population.threshold * UNIT <= np.nextafter(limit, np.float32(np.inf))
