"""A sweep's runs, grouped by setting over seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from spikeformer.runs import ResultsError, Statistic, summarize_sweep
from tests.runs.sweeps import write_sweep


def test_settings_are_means_over_seeds_with_the_best_first(tmp_path):
    accuracy = {("lif", 1): 0.7, ("lif", 2): 0.8, ("plif", 1): 0.9, ("plif", 2): 0.84}
    write_sweep(tmp_path, [({"neuron": n, "seed": s}, value) for (n, s), value in accuracy.items()])
    sweep = summarize_sweep(tmp_path)
    assert (sweep.objective, sweep.swept) == ("maximize fit.val/accuracy", ("neuron",))
    assert [setting.values for setting in sweep.settings] == [{"neuron": "plif"}, {"neuron": "lif"}]
    found = sweep.settings[1].statistic("val/accuracy")
    assert found is not None
    assert found.mean == pytest.approx(0.75)
    assert found.deviation == pytest.approx(np.std([0.7, 0.8], ddof=1))
    interval = stats.ttest_1samp([0.7, 0.8], 0).confidence_interval(0.95)  # a second way to it
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert sweep.best_runs[0].numbers["val/accuracy"] == 0.9
    assert sweep.best_settings == [sweep.settings[0]]
    assert sweep.is_complete
    assert sweep.effect("neuron") == {"lif": [0.8, 0.7], "plif": [0.84, 0.9]}


def test_a_single_run_has_no_deviation():
    assert Statistic.of([0.5]) == Statistic(0.5, None, None, None, 1)


def test_of_runs_with_the_same_seed_the_newest_counts(tmp_path):
    same = {"neuron": "lif", "seed": 1}
    write_sweep(tmp_path, [(same, 0.1), (same, 0.9)])
    sweep = summarize_sweep(tmp_path)
    (setting,) = sweep.settings
    assert setting.statistic("val/accuracy") == Statistic(0.9, None, None, None, 1)
    assert sweep.swept == ()


def test_an_incomplete_grid_is_known(tmp_path):
    runs = [("lif", 1, 1), ("lif", 2, 1), ("plif", 1, 1)]
    rows = [({"neuron": n, "timesteps": k, "seed": s}, 0.5) for n, k, s in runs]
    write_sweep(tmp_path / "a", rows)
    assert not summarize_sweep(tmp_path / "a").is_complete
    write_sweep(tmp_path / "b", [*rows, ({"neuron": "plif", "timesteps": 2, "seed": 1}, 0.5)])
    assert summarize_sweep(tmp_path / "b").is_complete
    other_seed = [*rows, ({"neuron": "plif", "timesteps": 2, "seed": 9}, 0.5)]
    write_sweep(tmp_path / "c", other_seed)
    assert not summarize_sweep(tmp_path / "c").is_complete


def test_several_objectives_leave_what_no_other_beats(tmp_path):
    points = {"a": (0.9, 5.0), "b": (0.8, 1.0), "c": (0.7, 3.0), "d": (0.9, 5.0)}
    write_sweep(
        tmp_path,
        [({"neuron": name, "seed": 1}, *point) for name, point in points.items()],
        objective=["maximize fit.val/accuracy", "minimize profile.energy_per_sample_uj"],
    )
    sweep = summarize_sweep(tmp_path)
    assert [run.settings["neuron"] for run in sweep.best_runs] == ["d", "a", "b"]
    assert {setting.values["neuron"] for setting in sweep.best_settings} == {"a", "b", "d"}
    assert list(sweep.objectives.values()) == ["maximize", "minimize"]


def test_runs_without_a_result_are_left_out(tmp_path):
    runs = [({"neuron": "lif", "seed": 1}, 0.5), ({"neuron": "plif", "seed": 1}, None)]
    write_sweep(tmp_path, [*runs, ({"neuron": "plif", "seed": 2}, math.nan)])
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "manifest.json").write_text("{half")
    sweep = summarize_sweep(tmp_path)
    assert [run.path for run in sweep.runs] == ["0"]
    assert {run.path: run.status for run in sweep.left_out} == {
        "1": "failed",
        "2": "done",
        "3": "broken",
    }


def test_a_sweep_without_any_result_says_what_it_lacks(tmp_path):
    write_sweep(tmp_path, [({"neuron": "lif", "seed": 1}, None)])
    with pytest.raises(ResultsError, match=r"fit\.val/accuracy"):
        summarize_sweep(tmp_path)
