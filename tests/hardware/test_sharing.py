from __future__ import annotations

import numpy as np
import pytest

from spikeformer.hardware import modelled_energy, simulate, traffic
from spikeformer.hardware.sharing import host_energy, host_traffic, with_host
from spikeformer.hardware.targets.loihi2.prices import PRICES
from tests.hardware.networks import hosted


def test_traffic_counts_what_crosses_between_chip_and_host():
    graph, inputs = hosted()
    events = simulate(graph, inputs)
    found = host_traffic(graph, events)
    # Of each block the host reads queries, keys, values and two layers' outputs, and drives four
    # populations; then the classifier's. Five tokens of 32 channels, 48 within.
    read, driven = 2 * 5 * (5 * 32 + 48) + 5, 2 * 5 * (3 * 32 + 48) + 32
    assert found["host_bytes_per_timestep"] == 4 * (read + driven)
    assert 0 < found["messages_to_host_per_sample"] <= read * graph.timesteps
    assert traffic(graph, events).items() >= found.items()
    assert found["latency_steps_without_host"] == graph.timesteps + 2 * 4 + 1
    assert traffic(graph, events)["latency_steps"] == graph.timesteps + 2 * 8 + 1


def test_synaptic_events_count_an_event_once_whatever_its_size():
    graph, inputs = hosted()
    events = simulate(graph, inputs)
    reached = [(p.source, p.operator.weights) for p in graph.projections]
    assert all(weights.all() for _, weights in reached)
    expected = sum(np.count_nonzero(events[name]) * len(weights) for name, weights in reached)
    found = traffic(graph, events)["synaptic_events_per_sample"]
    assert found == pytest.approx(expected / len(inputs["pixel_values"]))


def test_energy_is_given_without_and_with_the_host():
    graph, inputs = hosted()
    host = host_energy(graph)
    chip = modelled_energy(PRICES.values(), graph, simulate(graph, inputs))
    assert [each.technology for each in chip] == [
        "loihi1", "loihi2", "loihi1 + host", "loihi2 + host",
    ]  # fmt: skip
    for alone, both in zip(chip[:2], chip[2:], strict=True):
        assert both.energy_uj == alone.energy_uj + host.energy_uj
        assert both.kind == "estimate"
        assert sum(each.value for each in both.layers.values()) == pytest.approx(
            both.energy_uj.value
        )
    assert with_host([], host) == []
