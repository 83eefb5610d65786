"""A sample's energy, spread over its timesteps."""

from __future__ import annotations

import numpy as np
import pytest

from spikeformer.profiling import (
    TECHNOLOGIES,
    OperationCounts,
    dense_layer,
    estimate,
    event_layer,
    neuron_layer,
)
from spikeformer.profiling.pricing.timeline import energy_by_step

EVENTS = {"events": 4, "dense": 80, "weights": 20, "targets": 10, "steps": 4}
FC = event_layer("fc", "linear", operations=40, timeline=[0, 10, 0, 30], **EVENTS)
SILENT = event_layer("fc", "linear", operations=40, timeline=[0, 0, 0, 0], **EVENTS)
STEM = dense_layer("stem", "conv", macs=100, inputs=10, outputs=20, weights=5, samples=1)
LIF = neuron_layer("lif", updates=40, spikes=4, neurons=10, steps=4, timeline=[4, 0, 0, 0])


def spread(*layers):
    return energy_by_step(OperationCounts(layers), TECHNOLOGIES["simulation"])


def test_energy_by_step_follows_the_work():
    assert (spread(FC) / spread(FC).sum()).tolist() == pytest.approx([0, 0.25, 0, 0.75])


def test_energy_by_step_updates_neurons_in_all_timesteps_alike():
    assert np.ptp(spread(LIF)) == pytest.approx(0)
    assert np.ptp(spread(SILENT)) == pytest.approx(0)


def test_energy_by_step_has_what_runs_once_in_the_first():
    found = spread(STEM, FC)
    assert found[0] > 0
    assert found[2] == 0


def test_energy_by_step_adds_up_to_the_estimate():
    layers = (STEM, FC, LIF)
    for name in ("simulation", "loihi1", "spinnaker"):
        technology = TECHNOLOGIES[name]
        counts = OperationCounts(layers, samples=2)
        whole = estimate(counts, technology).energy_uj.value
        assert energy_by_step(counts, technology).sum() == pytest.approx(whole)
