from __future__ import annotations

import json

import pytest

from spikeformer.reporting import ResultsError, build_dashboard, summarize_runs
from tests.reporting.synthetic import write_run


def write_manifest(folder, stages, **more):
    folder.mkdir(parents=True)
    content = {"name": folder.name, "created": "2026-01-01T00:00:00+00:00", "stages": stages}
    (folder / "manifest.json").write_text(json.dumps({**content, **more}))
    return folder


def only(folder):
    (run,) = summarize_runs(folder)
    return run


def test_a_finished_run(tmp_path):
    folder = write_manifest(
        tmp_path / "sweep" / "0",
        {
            "fit": {"status": "done", "result": {"num_parameters": 7, "val/accuracy": 0.5}},
            "test": {"status": "done", "result": {"accuracy": 0.75, "num_samples": 360}},
            "profile": {
                "status": "done",
                "result": {
                    "energy_per_sample_uj": 2.0,
                    "energy_per_sample_low_uj": 1.0,
                    "kind": "estimate",
                },
            },
        },
    )
    (tmp_path / "sweep" / "sweep.yaml").write_text("[]")
    (folder / "config.yaml").write_text(
        "seed: 3\nneuron: {_target_: a.b.Lif, tau_mem: 2.0}\noptimizer: {lr: 0.001}\n"
    )
    (folder / "overrides.yaml").write_text(
        "- neuron=lif\n- optimizer.lr=1e-3\n- neuron.tau_mem=2\n- logger=none\n- paths.x=y\n"
    )
    (folder / "metrics.csv").write_text("epoch,val/accuracy\n0,0.25\n1,\n")
    run = only(tmp_path)
    assert (run.path, run.sweep, run.status, run.report) == ("sweep/0", "sweep", "done", None)
    assert run.numbers == {
        "epochs": 2,
        "num_parameters": 7,
        "val/accuracy": 0.5,
        "accuracy": 0.75,
        "energy_per_sample_uj": 2.0,
        "energy_per_sample_low_uj": 1.0,
    }
    assert run.settings == {
        "neuron": "Lif",
        "seed": 3,
        "optimizer.lr": 0.001,
        "neuron.tau_mem": 2.0,
    }
    assert run.curves["val/accuracy"] == [0.25, None]


def test_a_conversion_is_a_run_with_an_accuracy(tmp_path):
    result = {"original_accuracy": 0.9, "accuracy": 0.8, "agreement": 0.7, "timesteps": 8}
    write_manifest(tmp_path / "a", {"convert": {"status": "done", "result": result}})
    assert only(tmp_path).numbers == {"original_accuracy": 0.9, "accuracy": 0.8, "agreement": 0.7}


@pytest.mark.parametrize(
    ("stages", "status", "problem"),
    [
        ({}, "running", None),
        ({"fit": {"status": "running"}}, "running", None),
        ({"fit": {"status": "failed", "error": "NaN"}}, "failed", "fit: NaN"),
    ],
)
def test_runs_that_are_not_done(tmp_path, stages, status, problem):
    write_manifest(tmp_path / "a", stages)
    assert (only(tmp_path).status, only(tmp_path).problem) == (status, problem)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("manifest.json", "{half"),
        ("manifest.json", '{"stages": {"fit": 3}}'),
        ("metrics.csv", "epoch,loss\n0,high\n"),
        ("config.yaml", "a: [1"),
    ],
)
def test_a_broken_file_breaks_its_run_alone(tmp_path, file, content):
    write_manifest(tmp_path / "whole", {})
    write_manifest(tmp_path / "half", {})
    (tmp_path / "half" / file).write_text(content)
    found = {run.name: run for run in summarize_runs(tmp_path)}
    assert found["half"].status == "broken"
    assert str(tmp_path / "half") in found["half"].problem
    assert found["whole"].status == "running"


def test_a_run_stopped_before_its_first_stage(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "config.yaml").write_text("seed: 1\n")
    assert only(tmp_path).status == "broken"
    assert "before its first stage" in only(tmp_path).problem


def test_what_lies_inside_a_run_is_no_run(tmp_path):
    run = write_run(tmp_path / "run")
    write_manifest(run / "converted" / "inner", {})
    write_manifest(tmp_path / ".hidden", {})
    assert [each.path for each in summarize_runs(tmp_path)] == ["run"]
    assert [each.path for each in summarize_runs(run)] == ["run"]


def test_newest_first(tmp_path):
    for number in (1, 3, 2):
        write_manifest(tmp_path / str(number), {}, created=f"2026-01-0{number}T00:00:00")
    assert [run.name for run in summarize_runs(tmp_path)] == ["3", "2", "1"]


def test_no_folder_and_no_runs(tmp_path):
    with pytest.raises(ResultsError, match="folder of runs"):
        summarize_runs(tmp_path / "nowhere")
    page = build_dashboard(tmp_path).read_text()
    assert "There are no runs in this folder yet" in page
    assert len(page) < 50_000  # no plots, no library for them
