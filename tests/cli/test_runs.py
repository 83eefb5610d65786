"""`spikeformer runs` and `spikeformer report`."""

from __future__ import annotations

import json

import pytest

from spikeformer.cli.runs import report, runs
from spikeformer.runs import ResultsError
from tests.reporting.synthetic import write_run
from tests.runs.sweeps import write_sweep


def test_runs_are_listed_newest_first(tmp_path, capsys):
    for name in ("a", "b"):
        write_run(tmp_path / name)
    manifest = tmp_path / "a" / "manifest.json"
    content = json.loads(manifest.read_text()) | {"choices": {"pipeline": "predict"}}
    manifest.write_text(json.dumps(content))
    assert runs([str(tmp_path)]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["Started", "Name", "Pipeline", "Status", "Accuracy", "Folder"]
    assert len(lines) == 2
    assert sum("  predict  " in line for line in lines) == 1
    assert all("97.50 %" in line and "running" in line for line in lines)


def test_a_folder_without_runs(tmp_path, capsys):
    assert runs([str(tmp_path)]) == 0
    assert "holds no runs" in capsys.readouterr().out
    with pytest.raises(ResultsError, match="nowhere"):
        runs([str(tmp_path / "nowhere")])


def test_report_writes_the_page_again(tmp_path, capsys):
    write_run(tmp_path / "run")
    (tmp_path / "run" / "report.html").unlink(missing_ok=True)
    assert report([str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "run" / "report.html")
    assert (tmp_path / "run" / "report.html").is_file()


def test_report_of_a_sweep(tmp_path, capsys):
    write_sweep(tmp_path / "sweep", [({"neuron": "lif", "seed": seed}, 0.5) for seed in (1, 2)])
    assert report([str(tmp_path / "sweep")]) == 0
    page = tmp_path / "sweep" / "report.html"
    assert capsys.readouterr().out.strip() == str(page)
    assert "over 2 seeds" in page.read_text()


def test_report_of_something_else_writes_nothing(tmp_path):
    with pytest.raises(ResultsError, match=r"holds no manifest\.json"):
        report([str(tmp_path)])
    assert list(tmp_path.iterdir()) == []
