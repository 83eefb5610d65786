"""Integers stay in the chip's ranges and keep what matters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import (
    Population,
    Projection,
    SpikeGraph,
    lower,
    quantise,
    record_reference,
    simulate,
    simulate_integers,
)
from spikeformer.hardware.ir.operators import TokenLinear
from spikeformer.hardware.ir.quantisation import rounding_error
from spikeformer.models.mechanisms import QKTokenAttention, SpikeDrivenAttention
from tests.hardware.networks import hosted, images, spikes_for, two_layers, vit


@pytest.mark.parametrize("mechanism", [QKTokenAttention, SpikeDrivenAttention])
@pytest.mark.parametrize("residual", ["membrane", "sew"])
def test_every_number_is_in_its_range(mechanism, residual):
    graph = lower(vit(mechanism=mechanism, residual=residual, blocks=2), (1, 6, 6)).graph
    integers = quantise(graph)
    for neurons in integers.neurons.values():
        assert 0 <= neurons.dv <= 4095
        assert 0 <= neurons.vth <= 131071
        assert 0 <= neurons.bias_exp <= 7
    for projection in integers.graph.synapses:
        weights = projection.operator.weights
        assert weights.dtype == np.int32
        assert np.abs(weights).max() <= 255
    inputs = {"input": np.random.default_rng(0).normal(size=(4, 36)) * 100}
    for name, mantissa in integers.currents(inputs).items():
        assert mantissa.dtype == np.int32
        assert np.abs(mantissa).max() <= 4095, name


def test_population_uses_its_bits():
    graph = lower(vit(), (1, 6, 6)).graph
    integers = quantise(graph)
    for population in graph.neurons:
        largest = [
            np.abs(p.operator.weights).max()
            for p in integers.graph.incoming(population.name)
            if integers.graph.populations[p.source].kind != "values"
        ]
        exact = population.decay == 0
        if largest and not exact:
            # A threshold is a whole number too, so the scale may lose up to one part in it.
            assert max(largest) >= 255 * (1 - 1 / integers.neurons[population.name].vth) - 1


def test_all_projections_into_a_population_share_a_scale():
    graph = two_layers()
    integers = quantise(graph)
    for before, after in zip(graph.projections, integers.graph.projections, strict=True):
        scale = integers.neurons[before.target].scale
        difference = after.operator.weights / scale - before.operator.weights
        assert np.abs(difference).max() <= 0.5 / scale + 1e-12


@pytest.mark.parametrize("mechanism", [QKTokenAttention, SpikeDrivenAttention])
def test_coincidences_and_gates_are_exact(mechanism):
    """Given the same spikes as input, they fire the same: ties with the threshold are kept."""
    graph = lower(vit(mechanism=mechanism, dim=16, heads=2, timesteps=5), (1, 6, 6)).graph
    spikes = simulate(graph, {"input": images(32).flatten(1).double().numpy()})
    integers = quantise(graph)
    checked = 0
    for population in graph.neurons:
        if "mechanism" not in population.name:
            continue
        incoming = [p for p in graph.projections if p.target == population.name]
        # The population alone, with what it hears as sources.
        populations = {
            p.source: replace(graph.populations[p.source], kind="spikes", bias=None, depth=0)
            for p in incoming
        }
        populations[population.name] = replace(population, depth=1)
        alone = SpikeGraph(5, populations, tuple(replace(p, delay=1) for p in incoming))
        inputs = {p.source: spikes[p.source] for p in incoming}
        found, _ = simulate_integers(quantise(alone), inputs)
        np.testing.assert_array_equal(found[population.name], spikes[population.name])
        assert 0 < spikes[population.name].mean() < 1
        checked += 1
    assert checked == (2 if mechanism is QKTokenAttention else 3)
    assert {integers.neurons[n].scale for n in integers.neurons if "coincidence" in n} == {1.0}


def test_most_spikes_survive_rounding():
    torch.manual_seed(3)
    net = vit(dim=16, heads=2, blocks=1)
    reference = record_reference(net, images(16))
    graph = lower(net, (1, 6, 6)).graph
    real = simulate(graph, reference.inputs)
    whole, extremes = simulate_integers(quantise(graph), reference.inputs)
    changed = np.mean([np.mean(whole[name] != real[name]) for name in real])
    assert changed < 0.05
    assert all(found.clipped == 0 for found in extremes.values())


def test_rounding_error_is_the_root_mean_square():
    graph = two_layers()
    integers = quantise(graph)
    errors = rounding_error(graph, integers)
    scale = integers.neurons["two"].scale
    differences = np.concatenate(
        [
            (after.operator.weights / scale - before.operator.weights).ravel()
            for before, after in zip(graph.projections, integers.graph.projections, strict=True)
            if before.target == "two"
        ]
    )
    assert errors["two"] == pytest.approx(np.sqrt(np.mean(differences**2)) / 0.7)


def test_vanishing_threshold_is_refused():
    graph = two_layers()
    first, *rest = graph.projections
    large = replace(first, operator=TokenLinear(first.operator.weights * 1e4))
    with pytest.raises(HardwareCompatibilityError, match=r"'one' has weights up to.*threshold"):
        quantise(replace(graph, projections=(large, *rest)))


def test_inputs_are_not_changed():
    graph = two_layers()
    before = [p.operator.weights.copy() for p in graph.projections]
    simulate_integers(quantise(graph), spikes_for(graph, 2))
    for projection, weights in zip(graph.projections, before, strict=True):
        np.testing.assert_array_equal(projection.operator.weights, weights)


@pytest.mark.parametrize("units", [4094.6, 4095.4, 4096, 2 * 4095.6, 4095 * 2**7])
def test_quantise_never_clips_a_bias(units):
    """Past 4,095 units the exponent takes over, so that the mantissa stays in range."""
    graph = biased(units)
    integers = quantise(graph)
    neurons = integers.neurons["out"]
    mantissa = integers.currents({"in": np.zeros((1, 1, 1), np.uint8)})["out"][0, 0]
    assert abs(mantissa) <= 4095
    assert mantissa << neurons.bias_exp == pytest.approx(units, abs=2**neurons.bias_exp / 2)
    assert neurons.bias_exp == 0 or units > 4095 * 2 ** (neurons.bias_exp - 1)


def test_quantise_gives_up_bits_of_weights_for_a_bias():
    graph = biased(3 * 4095 * 2**7)
    integers = quantise(graph)
    neurons = integers.neurons["out"]
    assert (neurons.vth, neurons.scale) == (33, 0.33)  # of 100 and 1
    assert integers.graph.projections[0].operator.weights.max() == round(0.33 * 255)
    current = integers.currents({"in": np.zeros((1, 1, 1), np.uint8)})["out"][0, 0]
    bias = 64 * 0.33 * graph.populations["out"].bias[0]
    assert current << neurons.bias_exp == pytest.approx(bias, abs=2**neurons.bias_exp / 2)


def test_quantise_refuses_a_bias_beyond_mantissa_and_exponent():
    with pytest.raises(HardwareCompatibilityError, match="out: Its bias takes"):
        quantise(biased(4.1 * 4096 * 2**7))


@pytest.mark.parametrize("weight", [None, 0.1])
def test_a_sample_s_current_reaches_all_counts(weight):
    """Behind a weight of 0.1 a threshold with all bits would leave room for three."""
    numbers = [
        Population("in", (1,), "values"),
        Population("spikes", (1,), "spikes"),
        Population("out", (1,), decay=0.0, threshold=0.5, rule="count", levels=8, depth=1),
    ]
    projections = [Projection("in", "out", TokenLinear(np.ones((1, 1))), 0)]
    if weight is not None:
        projections += [Projection("spikes", "out", TokenLinear(np.full((1, 1), weight)), 1)]
    graph = SpikeGraph(1, {p.name: p for p in numbers}, tuple(projections))
    values = 0.5 * np.arange(11)[:, None]
    inputs = {"in": values, "spikes": np.zeros((11, 1, 1), np.uint8)}
    spikes, _ = simulate_integers(quantise(graph), inputs)
    assert spikes["out"].ravel().tolist() == [*range(9), 8, 8]


def test_simulate_integers_counts_currents_that_are_clipped():
    """A current that comes with the sample has no exponent to give way."""
    graph = two_layers(kind="values")
    integers = quantise(graph)
    inputs = {"in": np.full((2, 4), 1e4)}
    beyond = {name: np.abs(m) > 4095 for name, m in integers.mantissas(inputs).items()}
    _, extremes = simulate_integers(integers, inputs)
    assert beyond["one"].any()
    for name, found in beyond.items():
        assert extremes[name].clipped >= found.sum()
    assert np.abs(integers.currents(inputs)["one"]).max() == 4095


def biased(units):
    """One neuron with a weight of 255 and a bias of so many units of its membrane."""
    threshold = 100.0
    populations = [
        Population("in", (1,), "spikes"),
        Population(
            "out", (1,), decay=0.5, threshold=threshold, bias=np.array([units / 64]), depth=1
        ),
    ]
    projection = Projection("in", "out", TokenLinear(np.full((1, 1), 255.0)))
    return SpikeGraph(1, {p.name: p for p in populations}, (projection,))


def test_events_count_in_integers_what_they_did_before():
    """Every neuron has a scale of its own, and a smallest event that is whole."""
    graph, _ = hosted()
    integers = quantise(graph)
    for before, after in zip(graph.differential, integers.graph.differential, strict=True):
        np.testing.assert_allclose(after.worth[before.unit < 1], before.worth[before.unit < 1])
        np.testing.assert_allclose(
            after.start / after.scale, before.start, atol=1 / after.scale.min()
        )
    for before, after in zip(graph.projections, integers.graph.projections, strict=True):
        scale = integers.graph.populations[after.target].scale
        weights = before.operator.matrix().toarray() * scale[:, None]
        assert np.abs(after.operator.matrix().toarray() - weights).max() <= 0.5
    rules = {p.name: p.rule for p in graph.differential}
    assert {rules[p.target] for p in graph.projections} == {"differential", "sum"}


@pytest.mark.parametrize(("levels", "mantissa"), [(24, 1), (18, 0)])
def test_more_levels_than_states_hold_are_refused_with_the_most(levels, mantissa):
    with pytest.raises(HardwareCompatibilityError, match=r"converter\.levels=") as refusal:
        quantise(hosted(levels=levels, mantissa=mantissa)[0])
    most = int(str(refusal.value).split("levels=")[1].rstrip("."))
    assert 10 <= most < levels
    quantise(hosted(levels=most, mantissa=mantissa)[0])


def test_neurons_without_weights_keep_their_bias():
    graph, inputs = hosted()
    first = graph.projections[0]
    silent = replace(first, operator=replace(first.operator, weights=first.operator.weights * 0))
    target = graph.populations[first.target]
    biased = replace(target, start=np.linspace(-3, 3, target.size) * target.unit * 128)
    pruned = replace(
        graph,
        populations={**graph.populations, first.target: biased},
        projections=(silent, *graph.projections[1:]),
    )
    events = simulate(pruned, inputs)[first.target]
    whole, _ = simulate_integers(quantise(pruned), inputs)
    assert np.abs(events).max() > 0
    assert (whole[first.target] == events).mean() > 0.9
