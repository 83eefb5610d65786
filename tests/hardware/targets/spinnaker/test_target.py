from __future__ import annotations

from functools import partial
from math import inf
from pathlib import Path

import numpy as np
import pytest

from spikeformer.error_handling import ArgumentError, HardwareCompatibilityError
from spikeformer.hardware import (
    HardwareModel,
    Lowered,
    SpiNNakerDeployer,
    lower,
    record_reference,
    reference_spikes,
    simulate,
)
from spikeformer.hardware.ir.relays import with_relays
from spikeformer.hardware.targets.spinnaker import target as module
from spikeformer.hardware.targets.spinnaker.fixed_point import shift_of
from spikeformer.hardware.targets.spinnaker.network import network_job, summed_weights
from spikeformer.hardware.targets.toolchain import find_toolchain, run_worker
from spikeformer.models.mechanisms import SpikeDrivenAttention
from spikeformer.neurons import LifNeuron
from tests.hardware.networks import (
    camera,
    heard,
    images,
    lasting,
    late,
    sentences,
    spikes_for,
    text,
    two_layers,
    vit,
)
from tests.hardware.toolchains import needs_toolchain

pytestmark = [pytest.mark.slow, needs_toolchain("spinnaker")]


def assert_equal(expected, recorded):
    assert sum(int(spikes.sum()) for spikes in expected.values()) > 0
    for name, spikes in expected.items():
        np.testing.assert_array_equal(recorded[name], spikes, err_msg=name)


@pytest.mark.parametrize("kind", ["spikes", "values"])
def test_nest_fires_as_numpy_does(kind):
    """Ten samples, one after the other, each from zero."""
    graph = two_layers(kind=kind)
    inputs = spikes_for(graph, 10)
    model = SpiNNakerDeployer().deploy(HardwareModel("spinnaker", graph))
    assert_equal(simulate(graph, inputs), model.execute_float(inputs))


def test_currents_that_last_fire_as_in_numpy_and_are_mapped():
    """`IF_curr_exp`: ten samples, one after the other, biases and a shortcut among them."""
    graph = lasting(two_layers(timesteps=6))
    inputs = spikes_for(graph, 10)
    compiled = SpiNNakerDeployer().compile(Lowered(graph, None, {}))
    model = SpiNNakerDeployer().deploy(compiled)
    assert_equal(simulate(graph, inputs), model.execute_float(inputs))
    for population in graph.neurons:
        modelled = [shift_of(total) for total in summed_weights(graph, population)]
        assert compiled.details["weight_shifts"][population.name] == modelled
    valued = Lowered(lasting(two_layers(kind="values")), None, {})
    with pytest.raises(HardwareCompatibilityError, match=r"one gets values.*currents last"):
        SpiNNakerDeployer().lowered(valued)


def test_relays_before_currents_that_last_change_no_spike():
    graph = lasting(late(timesteps=8))
    relayed = with_relays(graph, 2)
    assert any(".relay_" in p.name for p in relayed.neurons)
    inputs = spikes_for(graph, 6)
    model = SpiNNakerDeployer().deploy(HardwareModel("spinnaker", relayed))
    assert_equal(simulate(graph, inputs), model.execute_float(inputs))


def test_transformer_fires_as_in_pytorch_and_is_mapped():
    net = vit()
    model = SpiNNakerDeployer("spin1-48chip").deploy(net)
    compiled, graph = model.compiled, model.compiled.graph
    reference = record_reference(net, images(4))
    assert_equal(reference_spikes(graph, reference), model.execute_float(reference.inputs))

    placement = compiled.placement
    for population in graph.neurons:
        cores = placement.cores_of(population.name)
        assert sum(core.neurons for core in cores) == population.size
        wanted = sum(p.operator.num_synapses for p in graph.incoming(population.name) if p.delay)
        assert sum(core.synapses for core in cores) == wanted
        assert all(core.synapse_bytes > 4 * core.synapses for core in cores)
    assert len({(core.chip, core.core) for core in placement.cores}) == len(placement.cores)
    assert compiled.details["machine"]["chips"] == 48
    assert compiled.details["boards"] == 1
    # A core's spikes leave it through an entry of their own, but those of the last layer.
    entries = sum(router["entries"] for router in compiled.details["routers"])
    assert entries >= len(placement.cores) - len(placement.cores_of(graph.neurons[-1].name))
    assert graph.neurons[0].name in compiled.reports["partitioned_by_vertex.rpt"]


def test_sentences_fire_as_in_pytorch():
    net, samples = text(mechanism=SpikeDrivenAttention), sentences([7, 2, 5, 1])
    graph = SpiNNakerDeployer().lowered(net).graph
    model = SpiNNakerDeployer().deploy(HardwareModel("spinnaker", graph))
    reference = record_reference(net, samples)
    assert_equal(reference_spikes(graph, reference), model.execute_float(reference.inputs))


def test_neurons_that_do_not_leak_are_refused():
    net = vit(neuron=partial(LifNeuron, reset="zero", tau_mem=inf))
    with pytest.raises(HardwareCompatibilityError, match="does not leak"):
        SpiNNakerDeployer().compile(net)


def test_events_fire_as_in_pytorch_and_are_mapped():
    net, events = camera()
    model = SpiNNakerDeployer().deploy(net)
    reference = record_reference(net, events)
    expected = reference_spikes(model.compiled.graph, reference)
    assert_equal(expected, model.execute_float(reference.inputs))
    assert "input" in model.compiled.reports["partitioned_by_vertex.rpt"]


def test_learnt_delays_are_those_of_the_chips_synapses():
    net, events = heard()
    reference = record_reference(net, events)
    model = SpiNNakerDeployer().deploy(net)
    expected = reference_spikes(model.compiled.graph, reference)
    assert_equal(expected, model.execute_float(reference.inputs))


def test_weights_are_shifted_as_spynnaker_shifts_them():
    """The model of the arithmetic takes the range that the toolchain chooses."""
    net = vit(dim=16)
    compiled = SpiNNakerDeployer().compile(net)
    for population in compiled.graph.neurons:
        modelled = [shift_of(total) for total in summed_weights(compiled.graph, population)]
        assert compiled.details["weight_shifts"][population.name] == modelled
    assert compiled.details["machine"]["cores_per_chip"] > 100  # SpiNNaker 2


@pytest.mark.parametrize("kind", ["values", "spikes"])
def test_board_program_runs_up_to_the_board(kind):
    """On a virtual board every call is made, from description to reset, and no spike comes back."""
    graph = lower(vit(), (1, 6, 6)).graph if kind == "values" else two_layers()
    arrays, settings = network_job(graph, spikes_for(graph, 2))
    home = {path.name for path in Path.home().iterdir()}
    result = run_worker(
        find_toolchain("spinnaker"),
        f"{module.__package__}.worker.board",
        arrays,
        settings | {"board_version": 5, "machine_name": None},
        timeout=120,
        facts=dict,
    )
    for population in graph.neurons:
        spikes = result.arrays[f"spikes/{population.name}"]
        assert spikes.shape == (2, graph.timesteps, population.size)
        assert not spikes.any()
    assert {path.name for path in Path.home().iterdir()} == home


def test_large_networks_are_counted_not_mapped(monkeypatch):
    monkeypatch.setattr(module, "MAX_MAPPED_SYNAPSES", 100)
    compiled = SpiNNakerDeployer("spin1-4chip").compile(vit(image=(1, 24, 24), dim=32))
    assert compiled.details["placed_by"].startswith("count of neurons")
    assert compiled.details["boards"] == -(-compiled.placement.num_chips // 4) > 1
    assert sum(core.neurons for core in compiled.placement.cores) == compiled.graph.num_neurons


def test_boards_are_checked():
    with pytest.raises(ArgumentError, match="spin1-48chip"):
        SpiNNakerDeployer("spin3")
    with pytest.raises(HardwareCompatibilityError, match=r"maps on SpiNNaker 2.*spin1-4chip"):
        SpiNNakerDeployer(machine_name="192.168.240.1").check()
