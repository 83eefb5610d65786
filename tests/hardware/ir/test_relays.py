"""Relays change delays, and no spike."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeformer.hardware import LOIHI2, lower, plan, simulate
from spikeformer.hardware.ir.relays import with_relays
from tests.hardware.networks import images, late, spikes_for, vit


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


def test_short_delays_need_none_and_lags_are_kept():
    graph = lower(vit(), (1, 6, 6)).graph
    assert with_relays(graph, 64) is graph is with_relays(graph, None)
    lagging = late()
    inputs = spikes_for(lagging, 3)
    found = simulate(with_relays(lagging, 2), inputs)
    for name, spikes in simulate(lagging, inputs).items():
        np.testing.assert_array_equal(found[name], spikes)


def test_a_deep_network_can_be_planned():
    graph = lower(vit(blocks=12, dim=4, image=(1, 2, 2)), (1, 2, 2)).graph
    assert max(p.delay for p in graph.synapses) > LOIHI2.max_delay
    assert any(".relay_" in layer.layer for layer in plan(graph, LOIHI2, 0.1).layers)
