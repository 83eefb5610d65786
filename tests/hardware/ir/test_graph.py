"""A graph is checked when it is made, and delays do what depths promise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import Population, Projection, SpikeGraph, simulate, traffic
from spikeformer.hardware.ir.operators import TokenLinear
from tests.hardware.networks import late, spikes_for, two_layers


def clocked(graph, inputs):
    """Run a graph the way a chip does: all populations at every step, samples one after another."""
    samples = len(next(iter(inputs.values())))
    steps = samples * graph.timesteps + graph.depth
    spikes = {p.name: np.zeros((steps, p.size)) for p in graph.populations.values()}
    for source in graph.sources:
        if source.kind == "spikes":
            spikes[source.name][: samples * graph.timesteps] = inputs[source.name].reshape(
                -1, source.size
            )
    currents = graph.currents(inputs)
    membranes = {p.name: np.zeros(p.size) for p in graph.neurons}
    for step in range(steps):
        for population in graph.neurons:
            local = step - population.depth
            if local % graph.timesteps == 0:
                membranes[population.name][:] = 0
            sample = local // graph.timesteps
            if not 0 <= sample < samples:
                continue
            total = np.zeros(population.size)
            if population.name in currents:
                total += currents[population.name][sample]
            for projection in graph.incoming(population.name):
                then = step - projection.delay
                if projection.source in spikes and then >= 0 and projection.delay:
                    total += projection.operator.matrix() @ spikes[projection.source][then]
            membrane = population.decay * membranes[population.name] + total
            fired = membrane >= population.threshold
            membranes[population.name] = np.where(fired, 0, membrane)
            spikes[population.name][step] = fired
    return {
        p.name: spikes[p.name][p.depth : p.depth + samples * graph.timesteps].reshape(
            samples, graph.timesteps, p.size
        )
        for p in graph.neurons
    }


@pytest.mark.parametrize("kind", ["spikes", "values"])
@pytest.mark.parametrize("timesteps", [1, 2, 5])
def test_pipeline_of_samples_computes_each_by_itself(kind, timesteps):
    graph = two_layers(timesteps, kind=kind)
    inputs = spikes_for(graph, 7)
    together, one_by_one = clocked(graph, inputs), simulate(graph, inputs)
    fired = 0
    for name, spikes in one_by_one.items():
        np.testing.assert_array_equal(together[name], spikes)
        fired += spikes.sum()
    assert fired > 10


@pytest.mark.parametrize("timesteps", [1, 2, 5, 9])
@pytest.mark.parametrize("lags", [(0, 0, 2), (2, 1, 3), (7, 0, 0)])
def test_late_spikes_arrive_in_their_own_sample(timesteps, lags):
    """One sample alone, on a clock: what would arrive after its end is lost."""
    graph = late(timesteps, lags)
    inputs = spikes_for(graph, 6)
    found = simulate(graph, inputs)
    for number in range(6):
        alone = clocked(graph, {name: x[number : number + 1] for name, x in inputs.items()})
        for name, spikes in found.items():
            np.testing.assert_array_equal(alone[name][0], spikes[number])


def test_the_longest_way_says_when_the_last_spike_arrives():
    assert two_layers().lag == 0
    assert [late(lags=lags).lag for lags in ((2, 1, 3), (2, 0, 3), (0, 4, 1))] == [3, 3, 4]
    assert late(lags=(2, 2, 3)).lag == 4


def test_spikes_are_moved_to_where_they_arrive():
    projection = late(lags=(2, 0, 0)).projections[0]
    spikes = np.arange(1, 13, dtype=np.uint8).reshape(1, 4, 3)
    moved = projection.arriving(spikes)
    np.testing.assert_array_equal(moved[0, 2:], spikes[0, :2])
    assert not moved[0, :2].any()
    assert not replace(projection, lag=9).arriving(spikes).any()


def test_outputs_read_the_mean_over_time():
    graph = two_layers(4)
    spikes = simulate(graph, spikes_for(graph, 3))
    expected = graph.readout.bias + sum(
        spikes[name].mean(axis=1) @ operator.weights.T for name, operator in graph.readout.terms
    )
    np.testing.assert_allclose(graph.outputs(spikes), expected)


def test_sizes():
    graph = two_layers(4)
    assert (graph.num_neurons, graph.num_synapses) == (8, 20 + 15 + 12)
    assert (graph.depth, graph.latency) == (2, 6)
    held = two_layers(4, kind="values")
    assert (held.num_synapses, held.latency) == (15, 5)


def test_traffic_counts_by_hand():
    graph = two_layers(2)
    spikes = {"one": np.zeros((2, 2, 5), np.uint8), "two": np.zeros((2, 2, 3), np.uint8)}
    spikes["one"][0, :, :3] = 1
    spikes["two"][1, 0, 0] = 1
    found = traffic(graph, spikes)
    assert found["spikes_per_sample"] == 7 / 2
    assert found["packets_per_sample"] == 6 / 2
    assert found["synaptic_events_per_sample"] == 6 * 3 / 2


def altered(population=None, projection=None):
    graph = two_layers()
    populations = dict(graph.populations)
    if population is not None:
        populations["two"] = replace(populations["two"], **population)
    projections = list(graph.projections)
    if projection is not None:
        projections[1] = replace(projections[1], **projection)
    return SpikeGraph(3, populations, tuple(projections))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"population": {"name": "three"}}, "'three' is filed under 'two'"),
        ({"population": {"kind": "relu"}}, "kind 'relu'"),
        ({"population": {"decay": 1.5}}, "decay 1.5"),
        ({"population": {"threshold": 0.0}}, "threshold 0.0"),
        ({"population": {"bias": np.zeros(4)}}, r"bias of shape \(4,\)"),
        ({"population": {"depth": 3}}, "ask for 2"),
        ({"projection": {"delay": 2}}, "has delay 2"),
        ({"projection": {"lag": 1}}, "ask for 2"),
        ({"projection": {"lag": -1, "delay": 0}}, "lag of -1"),
        ({"projection": {"source": "two"}}, "does not lead from an earlier one"),
        ({"projection": {"target": "nobody"}}, r"unknown populations \['nobody'\]"),
        ({"projection": {"operator": TokenLinear(np.ones((3, 4)))}}, r"shape \(3, 4\)"),
    ],
)
def test_inconsistent_graphs_are_refused(change, message):
    with pytest.raises(HardwareCompatibilityError, match=message):
        altered(**change)


def test_graph_without_readout_gives_no_outputs():
    graph = SpikeGraph(1, {"a": Population("a", (1,), "spikes")}, ())
    with pytest.raises(HardwareCompatibilityError, match="no readout"):
        graph.outputs({})


def test_spikes_take_at_least_one_step():
    populations = {"a": Population("a", (1,), "spikes"), "b": Population("b", (1,))}
    projection = Projection("a", "b", TokenLinear(np.ones((1, 1))), 0)
    with pytest.raises(HardwareCompatibilityError, match="at least 1"):
        SpikeGraph(1, populations, (projection,))
