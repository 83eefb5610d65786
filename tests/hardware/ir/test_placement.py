"""Every neuron has one core, no core holds more than it can, and what fits nowhere is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import (
    LOIHI2,
    ChipLimits,
    Placement,
    Population,
    Projection,
    SpikeGraph,
    lower,
    place,
)
from spikeformer.hardware.ir.operators import TokenLinear
from tests.hardware.networks import two_layers, vit


def small(neurons, synapses, cores=3):
    return replace(
        LOIHI2, neurons_per_core=neurons, synapse_bytes_per_core=synapses, cores_per_chip=cores
    )


@given(neurons=st.integers(1, 60), synapses=st.integers(70, 800))
def test_cores_hold_everything_once(neurons, synapses):
    graph = lower(NET, (1, 6, 6)).graph
    found = place(graph, small(neurons, synapses))
    for population in graph.neurons:
        cores = found.cores_of(population.name)
        ends = np.cumsum([core.neurons for core in cores])
        assert [core.first for core in cores] == [0, *ends[:-1]]
        assert ends[-1] == population.size
        fan_in = sum(
            p.operator.fan_in()
            for p in graph.incoming(population.name)
            if graph.populations[p.source].kind != "values"
        ) + np.zeros(population.size, int)
        for core in cores:
            assert core.synapses == fan_in[core.first : core.first + core.neurons].sum()
            assert core.synapses <= synapses
            assert core.neurons <= neurons
    places = [(core.chip, core.core) for core in found.cores]
    assert len(set(places)) == len(places) == found.num_cores
    assert max(core for _, core in places) < 3
    assert found.num_chips == -(-found.num_cores // 3)


NET = vit()


def test_few_neurons_share_as_few_cores_as_hold_them():
    graph = two_layers()
    assert place(graph, LOIHI2).num_cores == 2
    assert len(place(graph, small(3, 1000)).cores_of("one")) == 2


def test_neuron_with_too_many_synapses_is_refused():
    with pytest.raises(HardwareCompatibilityError, match="'two' has neurons with 9 synapses"):
        place(two_layers(), small(10, 8))


def test_neuron_that_exactly_fills_a_core_has_one_to_itself():
    # "two" has 9 synapses to each of its three neurons, "one" has 4 to each of five.
    found = place(two_layers(), small(10, 9))
    assert [(core.neurons, core.synapses) for core in found.cores_of("two")] == [(1, 9)] * 3
    assert sorted(core.synapses for core in found.cores_of("one")) == [4, 8, 8]


def test_neurons_that_exactly_fill_a_core_share_it():
    assert len(place(two_layers(), small(3, 27)).cores_of("two")) == 1
    assert len(place(two_layers(), small(3, 26)).cores_of("two")) == 2
    assert len(place(two_layers(), small(2, 27)).cores_of("two")) == 2


def test_delay_beyond_the_chips_is_refused():
    with pytest.raises(HardwareCompatibilityError, match=r"'two'.*'in' with a delay of 2"):
        place(two_layers(), replace(LOIHI2, max_delay=1))


def test_plain_values_and_back():
    found = place(two_layers(), LOIHI2)
    assert Placement.from_dict(found.to_dict()) == found


@pytest.mark.slow
def test_network_for_cifar10_is_lowered_and_placed():
    net = vit(image=(3, 32, 32), dim=256, heads=8, blocks=4, timesteps=4, stem_strides=(1, 2, 2))
    graph = lower(net, (3, 32, 32)).graph
    found = place(graph, LOIHI2)
    assert found.num_chips > 1
    assert sum(core.synapses for core in found.cores) == graph.num_synapses > 10**8


def test_uneven_neurons_take_as_few_cores_as_can_be():
    weights = np.zeros((7, 10))
    for neuron, synapses in enumerate([6, 3, 3, 9, 1, 5, 5]):
        weights[neuron, :synapses] = 1
    populations = {
        "in": Population("in", (10,), "spikes"),
        "out": Population("out", (7,), depth=1),
    }
    graph = SpikeGraph(1, populations, (Projection("in", "out", TokenLinear(weights)),))
    limits = ChipLimits("small", 128, 8192, 10, 1, None, "a test")
    cores = place(graph, limits).cores
    assert [core.synapses for core in cores] == [9, 3, 10, 10]
