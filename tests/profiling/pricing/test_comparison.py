from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.error_handling import (
    ArgumentError,
    ProfilingError,
)
from spikeformer.neurons import LifNeuron
from spikeformer.profiling import (
    PRECISIONS,
    Cmos45,
    EnergyProfiler,
    estimate,
)
from tests.profiling.networks import CURRENT, measured, spiking


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
    counts = profiler._measured[id(model)].counts()
    assert factor is not None
    as_often = estimate(counts.with_spikes(factor), Cmos45(PRECISIONS["int8"]))
    assert as_often.energy_uj.value == pytest.approx(rows["int3"].energy_uj.value)
    assert "even at a firing rate of about" in report.verdict()[0]


def test_silence_that_costs_more_has_no_break_even():
    model = nn.Sequential(LifNeuron(), nn.Linear(2, 1))
    profiler = EnergyProfiler()
    measured(profiler, model, torch.rand(2, 100, 2))
    report = profiler.compare([model])
    assert report.break_even == {"Sequential": None}
    assert "even without a spike" in report.verdict()[0]
