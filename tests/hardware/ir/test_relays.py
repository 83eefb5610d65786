"""Relays change delays, and no spike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spikeformer.hardware import LOIHI2, lower, plan, quantise, simulate, simulate_integers
from spikeformer.hardware.ir.relays import with_relays
from tests.hardware.networks import images, late, spikes_for, two_layers, vit


@pytest.mark.parametrize("max_delay", [2, 3, 5])
def test_spikes_are_the_same_with_short_delays(max_delay):
    torch.manual_seed(0)
    graph = lower(vit(blocks=2), (1, 6, 6)).graph
    relayed = with_relays(graph, max_delay)
    assert max(p.delay for p in graph.synapses) > max_delay
    assert max(p.delay for p in relayed.synapses) == max_delay
    inputs = {"input": images(4).double().flatten(1).numpy()}
    expected, found = simulate(graph, inputs), simulate(relayed, inputs)
    for name, spikes in expected.items():
        np.testing.assert_array_equal(found[name], spikes)
    relay = next(name for name in found if ".relay_" in name)
    np.testing.assert_array_equal(found[relay], expected[relay.rpartition(".")[0]])
    assert (relayed.depth, relayed.latency) == (graph.depth, graph.latency)


@pytest.mark.parametrize("max_delay", [1, 2, 64])
@pytest.mark.parametrize("timesteps", [3, 8])
def test_lags_are_kept(max_delay, timesteps):
    lagging = late(timesteps)
    relayed = with_relays(lagging, max_delay)
    assert max(p.delay for p in relayed.synapses) == min(5, max_delay)
    assert relayed.lag == lagging.lag
    inputs = spikes_for(lagging, 3)
    expected, found = simulate(lagging, inputs), simulate(relayed, inputs)
    assert timesteps < 8 or expected["two"].any()
    for name, spikes in expected.items():
        np.testing.assert_array_equal(found[name], spikes)


def test_counts_are_passed_on_as_counts():
    """In the chip's integers, too: the counts are those of the network without relays."""
    graph = two_layers(5)
    counting = replace(graph.populations["one"], rule="count", levels=9, threshold=0.2, bias=None)
    last = replace(graph.populations["two"], depth=6)
    into, onward, shortcut = graph.projections
    projections = (into, replace(onward, delay=5), replace(shortcut, delay=6))
    assert (into.target, onward.source) == ("one", "one")
    graph = replace(
        graph,
        populations=graph.populations | {"one": counting, "two": last},
        projections=projections,
    )
    relayed = with_relays(graph, 2)
    inputs = spikes_for(graph, 4)
    for run in (simulate, lambda *job: simulate_integers(quantise(job[0]), job[1])[0]):
        expected, found = run(graph, inputs), run(relayed, inputs)
        assert expected["one"].max() > 1
        for name, spikes in expected.items():
            np.testing.assert_array_equal(found[name], spikes)
    assert sum(p.graded for p in relayed.neurons) == 3


def test_short_delays_need_none():
    graph = lower(vit(), (1, 6, 6)).graph
    assert with_relays(graph, 64) is graph is with_relays(graph, None)


def test_a_deep_network_can_be_planned():
    graph = lower(vit(blocks=12, dim=4, image=(1, 2, 2)), (1, 2, 2)).graph
    assert max(p.delay for p in graph.synapses) > LOIHI2.max_delay
    assert any(".relay_" in layer.layer for layer in plan(graph, LOIHI2, 0.1).layers)
