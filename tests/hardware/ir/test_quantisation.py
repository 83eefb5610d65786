"""Whole numbers stay in the chip's ranges and keep what matters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import (
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
from tests.hardware.networks import images, spikes_for, two_layers, vit


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
