"""Energy on a chip follows from what was counted, and says what it is made of."""

from __future__ import annotations

import pytest

from spikeformer.hardware import (
    SimulationDeployer,
    SpiNNakerDeployer,
    lower,
    record_reference,
    simulate,
    traffic,
)
from spikeformer.hardware.energy import modelled_energy, operation_counts
from spikeformer.hardware.targets.loihi2.prices import PRICES
from tests.hardware.networks import images, vit


@pytest.fixture(scope="module")
def run():
    net = vit()
    reference = record_reference(net, images(4))
    graph = lower(net, (1, 6, 6)).graph
    return graph, simulate(graph, reference.inputs)


def test_counts_agree_with_the_traffic(run):
    graph, spikes = run
    counts, numbers = operation_counts(graph, spikes), traffic(graph, spikes)
    assert counts.per_sample("spikes") == numbers["spikes_per_sample"]
    assert counts.per_sample("packets") == numbers["packets_per_sample"]
    assert counts.per_sample("synaptic_operations") == numbers["synaptic_events_per_sample"]
    assert counts.per_sample("neuron_updates") == graph.num_neurons * graph.timesteps


def test_energy_by_hand(run):
    graph, spikes = run
    (loihi1, _) = modelled_energy(PRICES.values(), graph, spikes)
    chip, numbers = PRICES["loihi1"], traffic(graph, spikes)
    picojoules = (
        chip.synaptic_operation.energy_pj.value * numbers["synaptic_events_per_sample"]
        + chip.neuron_update.energy_pj.value * graph.num_neurons * graph.timesteps
        + chip.packet.energy_pj.value * numbers["packets_per_sample"]
    )
    assert loihi1.energy_uj.value == pytest.approx(picojoules / 1e6)
    assert loihi1.energy_uj.low <= loihi1.energy_uj.value <= loihi1.energy_uj.high
    assert loihi1.source


def test_targets_without_figures_have_none(run):
    graph, spikes = run
    assert modelled_energy(SimulationDeployer.target.prices, graph, spikes) == []
    found = modelled_energy(SpiNNakerDeployer.target.prices, graph, spikes)
    assert [row.technology for row in found] == ["spinnaker", "spinnaker2"]
