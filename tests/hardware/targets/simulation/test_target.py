"""The target without a chip runs what the graph says, in the arithmetic it was compiled to."""

from __future__ import annotations

import numpy as np

from spikeformer.hardware import (
    HardwareModel,
    NumberFormat,
    SimulatedModel,
    SimulationDeployer,
    lower,
    quantise,
    simulate,
    simulate_integers,
)
from spikeformer.hardware.deployer import INTEGERS
from tests.hardware.networks import spikes_for, two_layers, vit


def test_simulated_model_runs_integers_where_there_are_some():
    graph = two_layers(seed=2)
    coarse = quantise(graph, NumberFormat(max_weight=3))
    inputs = spikes_for(graph, 8)
    plain = SimulatedModel(HardwareModel("simulation", graph))
    rounded = SimulatedModel(HardwareModel("simulation", graph, integers=coarse))
    assert rounded.arithmetic == INTEGERS != plain.arithmetic
    real, whole = simulate(graph, inputs), simulate_integers(coarse, inputs)[0]
    assert any((real[name] != whole[name]).any() for name in real)
    for name, spikes in real.items():
        np.testing.assert_array_equal(plain.execute(inputs)[name], spikes)
        np.testing.assert_array_equal(rounded.execute_float(inputs)[name], spikes)
        np.testing.assert_array_equal(rounded.execute(inputs)[name], whole[name])


def test_simulation_deployer_compiles_to_the_lowered_graph():
    net = vit()
    compiled = SimulationDeployer().compile(net)
    expected = lower(net, (1, 6, 6)).graph
    assert (compiled.target, compiled.integers, compiled.placement) == ("simulation", None, None)
    assert list(compiled.graph.populations) == list(expected.populations)
    assert compiled.graph.num_synapses == expected.num_synapses
