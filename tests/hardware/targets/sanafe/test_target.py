from __future__ import annotations

import numpy as np
import pytest

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import (
    HardwareModel,
    Population,
    Projection,
    SanafeDeployer,
    SpikeGraph,
    compare,
    measure,
    place,
    record_reference,
    reference_spikes,
    simulate,
    traffic,
)
from spikeformer.hardware.ir.operators import TokenLinear
from spikeformer.hardware.targets.sanafe.network import num_cores, relays
from spikeformer.hardware.targets.sanafe.target import LOIHI, TARGET
from tests.hardware.networks import images, spikes_for, two_layers, vit
from tests.hardware.toolchains import needs_toolchain


def deployed(graph: SpikeGraph):
    return SanafeDeployer().deploy(HardwareModel("sanafe", graph, placement=place(graph, LOIHI)))


def with_a_skip() -> SpikeGraph:
    """Spikes that reach the third layer directly, three steps later."""
    rng = np.random.default_rng(0)

    def weights(rows: int, columns: int) -> TokenLinear:
        return TokenLinear(rng.normal(0.2, 0.6, (rows, columns)), 1)

    populations = {
        "in": Population("in", (5,), "spikes"),
        "a": Population("a", (6,), decay=0.5, bias=rng.normal(0, 0.2, 6), depth=1),
        "b": Population("b", (4,), decay=0.3, depth=2),
        "c": Population("c", (3,), decay=0.5, bias=rng.normal(0, 0.2, 3), depth=3),
    }
    projections = (
        Projection("in", "a", weights(6, 5), 1),
        Projection("a", "b", weights(4, 6), 1),
        Projection("in", "c", weights(3, 5), 3),
        Projection("a", "c", weights(3, 6), 2),
        Projection("b", "c", weights(3, 4), 1),
    )
    return SpikeGraph(6, populations, projections)


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
    recorded = model.execute(reference.inputs)
    assert compare(graph, reference_spikes(graph, reference), recorded).mismatches == 0
    assert [x.technology.split()[0] for x in found.energy] == ["loihi1", "SANA-FE"]
    assert "chip_seconds_per_sample" in found.traffic
    assert model.compiled.details["relay_neurons"] == sum(
        graph.populations[name].size * steps for name, steps in relays(graph).items()
    )


def test_relays_stand_for_the_steps_of_a_delay_but_the_last():
    assert relays(with_a_skip()) == {"in": 2, "a": 1}
    assert relays(two_layers(kind="values")) == {}


def test_one_chip_has_128_cores():
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
