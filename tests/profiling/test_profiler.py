from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from spikeformer.error_handling import (
    ArgumentError,
    BackendUnavailableError,
    ProfilingError,
)
from spikeformer.neurons import LifNeuron
from spikeformer.profiling import (
    PRECISIONS,
    TECHNOLOGIES,
    Cmos45,
    EnergyProfiler,
    Range,
    equivalent_bits,
    estimate,
    profiler_backends,
)


def spiking() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 20), LifNeuron(), nn.Linear(20, 4))


CURRENT = torch.rand(5, 4, 6) * 2


def measured(profiler, model, *batches):
    with torch.no_grad(), profiler.measure() as recording:
        for batch in batches:
            model(batch)
    return recording


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


def test_without_a_counter_auto_takes_the_model_and_the_others_say_so(no_rapl, caplog):
    recording = measured(EnergyProfiler("auto"), spiking(), CURRENT)
    assert recording.get_metrics()["kind"] == "estimate"
    assert "No energy counter on this machine: using the model" in caplog.text
    profiler = EnergyProfiler("pyjoules")
    with pytest.raises(BackendUnavailableError, match="no energy counter"):
        profiler.check_available()
    with pytest.raises(BackendUnavailableError, match="no energy counter"):
        profiler.measure().__enter__()
    measured(EnergyProfiler(), spiking(), CURRENT)  # nothing stayed behind


def test_auto_measures_where_it_can(rapl):
    assert measured(EnergyProfiler("auto"), spiking(), CURRENT).kind == "measured"


def test_mistakes_are_told():
    with pytest.raises(ArgumentError, match=r"'simulation', 'loihi1'.*'tpu'"):
        EnergyProfiler("tpu")
    assert "auto" in profiler_backends()
    with pytest.raises(ArgumentError, match=r"torch\.nn\.Module"):
        EnergyProfiler().attach("model")
    recording = EnergyProfiler().measure()
    with pytest.raises(ProfilingError, match="after the `with` block"):
        recording.get_metrics()
    with recording, pytest.raises(ProfilingError, match="Another measurement"):
        EnergyProfiler().measure().__enter__()
    with pytest.raises(ProfilingError, match="no network ran inside the block"):
        recording.get_metrics()
    with pytest.raises(ProfilingError, match="made once"):
        recording.__enter__()
    failed = EnergyProfiler().measure()
    with pytest.raises(ZeroDivisionError), failed:
        _ = 1 / 0
    with pytest.raises(ProfilingError, match="partial"):
        failed.get_metrics()


def test_a_model_that_never_ran_cannot_be_compared():
    profiler, model = EnergyProfiler(), spiking()
    with pytest.raises(ProfilingError, match="`Sequential` has not run"):
        profiler.compare([model])
    with pytest.raises(ArgumentError, match="at least one"):
        profiler.compare([])
    with pytest.raises(ArgumentError, match=r"torch\.nn\.Module"):
        profiler.compare([1])
    model.train()
    report = profiler.compare([model], inputs=CURRENT)
    assert report.rows
    assert model.training


def test_a_spiking_network_stands_beside_its_baselines():
    profiler, model = EnergyProfiler(), spiking()
    measured(profiler, model, CURRENT)
    report = profiler.compare([model])
    table = report.to_pandas()
    assert table.network.tolist() == ["ANN", "QNN", "SNN", "SNN"]
    assert table.precision.tolist() == ["fp32", "int3", "fp32", "int8"]
    ann, qnn, snn, small = table.to_dict("records")
    # The same layers, once: a quarter of the products of four timesteps.
    assert ann["macs"] == 6 * 20 + 20 * 4
    assert ann["compute_uj"] == pytest.approx(ann["macs"] * 4.6e-6)
    assert qnn["compute_uj"] == pytest.approx(ann["macs"] * (0.2 * 3 / 8 + 0.03) * 1e-6)
    assert qnn["energy_uj"] < ann["energy_uj"]
    assert small["energy_uj"] < snn["energy_uj"]
    assert set(table.kind) == {"estimate"}
    assert "Estimates, not measurements." in str(report)
    assert "Estimates, not measurements." in report.to_html()
    figure = report.plot()
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["ANN fp32", "QNN int3", "SNN fp32", "SNN int8"]


def test_an_ann_is_its_own_baseline():
    ordinary = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 4))
    profiler = EnergyProfiler()
    model = spiking()
    measured(profiler, model, CURRENT)
    measured(profiler, ordinary, torch.randn(3, 6))
    report = profiler.compare({"ours": model, "theirs": ordinary})
    assert [row.name for row in report.rows] == ["theirs", "theirs", "ours", "ours"]
    assert profiler.compare([ordinary]).break_even == {}
    assert [row.network for row in profiler.compare([ordinary]).rows] == ["ANN", "QNN"]


def test_break_even_is_where_the_energies_meet():
    """Scaling the spikes by the factor gives the energy of the quantised network."""
    model = nn.Sequential(LifNeuron(), nn.Linear(200, 300))
    profiler = EnergyProfiler()
    measured(profiler, model, torch.rand(2, 4, 200) * 1.5)
    report = profiler.compare([model])
    factor = report.break_even["Sequential"]
    rows = {row.precision: row for row in report.rows}
    by_neurons = profiler._measured[id(model)].counts()
    assert factor is not None
    spikes = estimate(
        type(by_neurons)(tuple(x for x in by_neurons.layers if x.events), by_neurons.samples),
        Cmos45(PRECISIONS["int8"]),
    ).energy_uj.value
    always = rows["int8"].energy_uj.value - spikes
    assert always + factor * spikes == pytest.approx(rows["int3"].energy_uj.value)
    assert "even at a firing rate of about" in report.verdict()[0]


def test_silence_that_costs_more_has_no_break_even():
    model = nn.Sequential(LifNeuron(), nn.Linear(2, 1))
    profiler = EnergyProfiler()
    measured(profiler, model, torch.rand(2, 100, 2))
    report = profiler.compare([model])
    assert report.break_even == {"Sequential": None}
    assert "even without a spike" in report.verdict()[0]


def test_bits_say_as_much_as_spikes():
    for timesteps in range(1, 200):
        assert 2 ** equivalent_bits(timesteps) >= timesteps + 1
        assert equivalent_bits(timesteps) == math.ceil(math.log2(timesteps + 1))
