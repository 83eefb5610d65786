from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.error_handling import ArgumentError
from spikeformer.neurons import LifNeuron
from spikeformer.profiling import (
    TECHNOLOGIES,
    EnergyProfiler,
    Range,
    estimate,
)
from tests.profiling.networks import CURRENT, measured, spiking


@pytest.mark.parametrize("backend", TECHNOLOGIES)
def test_metrics_hold_numbers_bounds_kind_and_source(backend):
    recording = measured(EnergyProfiler(backend), spiking(), CURRENT, CURRENT)
    metrics = recording.get_metrics()
    low, value, high = (metrics[f"energy_per_sample_{x}uj"] for x in ("low_", "", "high_"))
    assert 0 <= low <= value <= high
    assert metrics["samples"] == 10
    assert metrics["energy_total_uj"] == pytest.approx(10 * value)
    assert (metrics["kind"], metrics["backend"], metrics["timesteps"]) == ("estimate", backend, 4)
    assert metrics["source"] == TECHNOLOGIES[backend].source
    assert Range(low, value, high) == estimate(recording.counts, backend).energy_uj
    assert metrics["synaptic_operations"] == metrics["acs"] > 0
    assert metrics["macs"] == 4 * 6 * 20
    assert metrics["dense_operations"] == 4 * (6 * 20 + 20 * 4)
    assert 0 < metrics["firing_rate"] < 1
    assert 0 < metrics["sparsity"] < 1
    assert metrics["memory_accesses"] > metrics["synaptic_operations"]
    assert metrics["footprint_bytes"] == 4 * (7 * 20 + 21 * 4)
    assert metrics["connection_sparsity"] == 0


def test_later_passes_give_their_samples_alone():
    model, other = spiking(), 3 * CURRENT
    alone = measured(EnergyProfiler(), model, CURRENT).get_metrics()
    with torch.no_grad(), EnergyProfiler().measure(passes=1) as recording:
        model(CURRENT)
        model(other)
    metrics = recording.get_metrics()
    assert metrics["samples"] == 2 * alone["samples"]
    assert metrics["energy_total_uj"] == pytest.approx(2 * alone["energy_total_uj"])
    for name in ("energy_per_sample_uj", "acs", "macs", "neuron_updates", "firing_rate"):
        assert metrics[name] == alone[name]
    with pytest.raises(ArgumentError, match="passes"):
        EnergyProfiler().measure(passes=0)


def test_pruned_weights_are_reported():
    model = nn.Linear(4, 5)
    with torch.no_grad():
        model.weight[:2] = 0
    metrics = measured(EnergyProfiler(), model, torch.randn(2, 4)).get_metrics()
    assert metrics["connection_sparsity"] == 0.4


def test_fewer_spikes_cost_less():
    quiet, loud = spiking(), spiking()
    quiet[1] = LifNeuron(threshold=3.0)
    energies = [
        measured(EnergyProfiler(name), model, CURRENT).get_metrics()["energy_per_sample_uj"]
        for name in ("simulation", "loihi1")
        for model in (quiet, loud)
    ]
    assert energies[0] < energies[1]
    assert energies[2] < energies[3]


def test_layers_add_up_and_are_drawn():
    recording = measured(EnergyProfiler(), spiking(), CURRENT)
    table = recording.to_pandas()
    assert table.layer.tolist() == ["0", "1", "2"]
    value = recording.get_metrics()["energy_per_sample_uj"]
    assert table.energy_uj.sum() == pytest.approx(value)
    texts = [text.get_text() for text in recording.plot().axes[0].texts]
    assert texts[::2] == ["0", "1", "2"]


def test_parts_of_a_pipeline_are_one_sample():
    encoder, head = nn.Linear(6, 8), nn.Linear(8, 3)
    with EnergyProfiler().measure() as recording:
        head(encoder(torch.randn(5, 6)))
    metrics = recording.get_metrics()
    assert (metrics["samples"], metrics["macs"]) == (5, 6 * 8 + 8 * 3)
    with EnergyProfiler().attach(head).measure() as recording:
        head(encoder(torch.randn(5, 6)))
    assert recording.get_metrics()["macs"] == 24


def test_a_counter_is_read_and_operations_counted_once(rapl):
    model = spiking()
    profiler = EnergyProfiler("pyjoules")
    profiler.check_available()
    with torch.no_grad(), profiler.measure() as recording:
        for _ in range(3):
            model(CURRENT)
        rapl.set("package-0", 1_600_000)
    metrics = recording.get_metrics()
    assert metrics["energy_total_uj"] == pytest.approx(600_000)
    assert metrics["energy_per_sample_uj"] == pytest.approx(40_000)
    low, high = (metrics[f"energy_per_sample_{x}_uj"] for x in ("low", "high"))
    assert low < 40_000 < high
    assert (metrics["kind"], metrics["samples"]) == ("measured", 15)
    assert metrics["source"].startswith("RAPL counters of this machine")
    model_says = measured(EnergyProfiler(), model, CURRENT).get_metrics()
    assert metrics["acs"] == model_says["acs"]
