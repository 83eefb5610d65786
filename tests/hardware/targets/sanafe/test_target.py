from __future__ import annotations

import numpy as np
import pytest

from spikeformer.hardware import (
    HardwareModel,
    SanafeDeployer,
    SpikeGraph,
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


def deployed(graph: SpikeGraph):
    return SanafeDeployer().deploy(HardwareModel("sanafe", graph, placement=place(graph, LOIHI)))


@pytest.mark.parametrize(
    "graph",
    [two_layers(kind="spikes"), two_layers(kind="values"), with_a_skip()],
    ids=["spikes", "values", "skip"],
)
@pytest.mark.slow
@needs_toolchain("sanafe")
def test_it_fires_as_numpy_does(graph):
    inputs = spikes_for(graph, 6)
    expected, recorded = simulate(graph, inputs), deployed(graph).execute(inputs)
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
    graph = two_layers(kind="spikes")
    inputs = spikes_for(graph, 4)
    model = deployed(graph)
    spikes = model.execute(inputs)
    (found,) = model.estimates
    events = traffic(graph, {**inputs, **spikes})["synaptic_events_per_sample"]
    events += inputs["in"].sum() / 4  # each passes through a relay on its way to the last layer
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
