"""Planning counts what a network takes of many chips."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.hardware import ChipLimits, lower, place, plan
from spikeformer.hardware.planning import packet_rates
from spikeformer.models.mechanisms import SpikeDrivenAttention
from tests.hardware.networks import vit

TINY = ChipLimits("tiny", 3, 40, 4096, 8, None, "a test")


@pytest.fixture(scope="module", params=[{}, {"mechanism": SpikeDrivenAttention}])
def graph(request):
    torch.manual_seed(0)
    return lower(vit(blocks=2, **request.param), (1, 6, 6)).graph


def crossing(graph, limits, rates):
    """Count packets from chip to chip, neuron by neuron, in dense matrices."""
    chip_of = {}
    for core in place(graph, limits).cores:
        for neuron in range(core.first, core.first + core.neurons):
            chip_of[core.population, neuron] = core.chip
    found = np.zeros((max(chip_of.values()) + 1,) * 2)
    for population in graph.neurons:
        for neuron in range(population.size):
            goes_to = {
                chip_of[p.target, int(target)]
                for p in graph.projections
                if p.source == population.name
                for target in np.flatnonzero(p.operator.matrix()[:, [neuron]].toarray())
            }
            here = chip_of[population.name, neuron]
            for chip in goes_to - {here}:
                found[here, chip] += rates[population.name]
    return found


def test_crossing_packets_are_those_of_a_count_by_neuron(graph):
    rng = np.random.default_rng(0)
    rates = {p.name: float(rng.random()) for p in graph.neurons}
    found, expected = plan(graph, TINY, rates), crossing(graph, TINY, rates)
    assert len(found.chips) > 5
    assert expected.any()
    np.testing.assert_allclose([chip.sent for chip in found.chips], expected.sum(axis=1))
    np.testing.assert_allclose([chip.received for chip in found.chips], expected.sum(axis=0))
    assert found.crossing == pytest.approx(expected.sum())
    assert found.measured
    most = max(expected.sum(axis=0) + expected.sum(axis=1))
    assert found.busiest.sent + found.busiest.received == pytest.approx(most)


def test_what_it_takes_is_what_placing_says(graph):
    found, placement = plan(graph, TINY, 0.25), place(graph, TINY)
    assert (found.num_cores, len(found.chips)) == (placement.num_cores, placement.num_chips)
    assert (found.num_neurons, found.num_synapses) == (graph.num_neurons, graph.num_synapses)
    assert found.packets == pytest.approx(0.25 * graph.num_neurons)
    assert not found.measured
    for layer in found.layers:
        cores = placement.cores_of(layer.layer)
        assert layer.cores == len(cores)
        assert (layer.first_chip, layer.last_chip) == (cores[0].chip, cores[-1].chip)


def test_nothing_crosses_on_one_chip(graph):
    roomy = ChipLimits("roomy", 1000, 8192, 2**20, 1, None, "a test")
    found = plan(graph, roomy, 1.0)
    assert len(found.chips) == 1
    assert found.crossing == 0 == found.chips[0].sent == found.chips[0].received


@pytest.mark.parametrize("rate", [-0.1, 1.5])
def test_rates_are_shares_of_timesteps(graph, rate):
    with pytest.raises(ArgumentError, match="rates"):
        plan(graph, TINY, rate)


def test_a_population_without_a_rate_is_named(graph):
    rates = {p.name: 0.1 for p in graph.neurons}
    del rates[graph.neurons[-1].name]
    with pytest.raises(ArgumentError, match=f"also for '{graph.neurons[-1].name}'"):
        plan(graph, TINY, rates)


def test_a_graded_spike_is_one_packet():
    assert packet_rates({"a": np.array([[[0, 3], [1, 0]]], np.uint8)}) == {"a": 0.5}
