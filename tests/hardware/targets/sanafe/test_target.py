from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from spikeformer.hardware import (
    HardwareModel,
    SanafeDeployer,
    measure,
    place,
    record_reference,
    reference_spikes,
    simulate,
    traffic,
)
from spikeformer.hardware.targets.sanafe.target import LOIHI, TARGET
from tests.hardware.networks import heard, images, spikes_for, two_layers, vit, with_a_skip
from tests.hardware.toolchains import needs_toolchain

SAMPLES = 6
GRAPHS = {
    "spikes": two_layers(kind="spikes"),
    "values": two_layers(kind="values"),
    "skip": with_a_skip(),
}


@cache
def run(name: str):
    """A chip with one of the graphs, what went in and what fired."""
    graph = GRAPHS[name]
    compiled = HardwareModel("sanafe", graph, placement=place(graph, LOIHI))
    model, inputs = SanafeDeployer().deploy(compiled), spikes_for(graph, SAMPLES)
    return model, inputs, model.execute(inputs)


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.slow
@needs_toolchain("sanafe")
def test_it_fires_as_numpy_does(name):
    _, inputs, recorded = run(name)
    expected = simulate(GRAPHS[name], inputs)
    assert sum(int(spikes.sum()) for spikes in expected.values()) > 0
    for name, spikes in expected.items():
        np.testing.assert_array_equal(recorded[name], spikes, err_msg=name)


@pytest.mark.slow
@needs_toolchain("sanafe")
def test_learnt_delays_pass_through_relays():
    net, events = heard()
    model = SanafeDeployer().deploy(net)
    graph, reference = model.compiled.graph, record_reference(net, events)
    expected = reference_spikes(graph, reference)
    recorded = model.execute(reference.inputs)
    assert graph.lag > 0 < sum(int(spikes.sum()) for spikes in expected.values())
    for name, spikes in expected.items():
        np.testing.assert_array_equal(recorded[name], spikes, err_msg=name)


@pytest.mark.slow
@needs_toolchain("sanafe")
def test_its_energy_is_that_of_the_spikes_that_it_counts():
    """Of Davies et al., as its file has them: 33.6 pJ for each synapse that a spike crosses."""
    model, inputs, spikes = run("spikes")
    graph = model.compiled.graph
    (found,) = model.estimates
    events = traffic(graph, {**inputs, **spikes})["synaptic_events_per_sample"]
    # Each spike that goes in passes through a relay on its way to the last layer.
    events += inputs["in"].sum() / SAMPLES
    assert found.breakdown["synapse"].value == pytest.approx(33.6e-6 * events)
    assert found.energy_uj.value == pytest.approx(sum(x.value for x in found.breakdown.values()))
    assert found.technology.startswith("SANA-FE 2.2")
    assert 0 < model.traffic["chip_seconds_per_sample"] < 1e-3


@pytest.mark.slow
@needs_toolchain("sanafe")
def test_a_transformer_fires_as_in_pytorch_and_is_measured():
    net, samples = vit(), images(3)
    model = SanafeDeployer().deploy(net)
    reference = record_reference(net, samples)
    found = measure(model, reference, np.zeros(3, np.int64), prices=TARGET.prices)
    graph = model.compiled.graph
    assert [x.mismatches for x in found.comparisons] == [0]
    assert [x.technology.split()[0] for x in found.energy] == ["loihi1", "SANA-FE"]
    assert "chip_seconds_per_sample" in found.traffic
    waits = {p.source: 0 for p in graph.synapses}
    for projection in graph.synapses:
        waits[projection.source] = max(waits[projection.source], projection.delay - 1)
    assert model.compiled.details["relay_neurons"] == sum(
        graph.populations[name].size * steps for name, steps in waits.items()
    )
