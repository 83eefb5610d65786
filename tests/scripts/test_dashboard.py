from __future__ import annotations

import json
import sys

import pytest
import wandb

from spikeformer.cli import compose as composed
from spikeformer.pipeline import run_pipeline
from tests.commands import REPOSITORY, TINY
from tests.wandb_records import read_offline_run

pytest.importorskip("wandb_workspaces", reason="the extra dashboard is not installed")
sys.path.insert(0, str(REPOSITORY / "scripts"))
import dashboard


@pytest.fixture(autouse=True)
def nobody_is_logged_in(monkeypatch, tmp_path):
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.fixture
def refused(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            dashboard.main([*map(str, arguments)])
        return f"{stop.value.code} {capsys.readouterr().err}"

    return call


def test_the_workspace_has_the_projects_views(capsys):
    dashboard.main(["me/spikes", "--spec", "--group", "sweep", "--axes", "optimizer.lr", "seed"])
    view = json.loads(capsys.readouterr().out)
    assert (view["entity"], view["project"]) == ("me", "spikes")
    sections = {
        section["name"]: section["panels"]
        for section in view["spec"]["section"]["panelBankConfig"]["sections"]
    }
    assert set(sections) == {
        *("Accuracy against energy", "Firing rates", "Learning", "Sweep", "Differences")
    }
    (scatter,) = sections["Accuracy against energy"]
    assert scatter["config"]["xAxis"] == "summary:energy/energy_per_sample_uj"
    assert scatter["config"]["yAxis"] == "summary:test/accuracy"
    (parallel,) = sections["Sweep"]
    axes = [column["accessor"] for column in parallel["config"]["columns"]]
    assert axes[:2] == ["config:optimizer.value.lr", "config:seed.value"]
    assert "sweep" in json.dumps(view["spec"]["section"]["runSets"])


def test_the_report_has_a_grid_for_each_view():
    report = dashboard.report("me", "spikes", "sweep", ["seed"])
    views = dashboard.panels(["seed"])
    titles, grids = report.blocks[::2], report.blocks[1::2]
    assert [title.text for title in titles] == list(views)
    assert [len(grid.panels) for grid in grids] == [len(own) for own in views.values()]
    assert {grid.runsets[0].filters for grid in grids} == {"Group = 'sweep'"}


@pytest.mark.slow
def test_a_run_logs_what_the_views_show(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    stages = ["Fit", "Test", "Profile"]
    listed = ",".join(f"{{_target_: spikeformer.pipeline.{stage}}}" for stage in stages)
    config = composed(
        *TINY,
        *("debug=fast", "profiler=simulation", "trainer.accelerator=cpu"),
        *(f"pipeline.stages=[{listed}]", f"paths.run_dir={tmp_path}"),
    )
    run_pipeline(config, tmp_path)
    wandb.finish()
    run = read_offline_run(tmp_path / "wandb")
    logged = {key for row in run["history"] for key in row}
    assert {dashboard.ACCURACY, dashboard.ENERGY, "epoch"} <= logged
    assert {*dashboard.RATES, *dashboard.LEARNING} <= logged
    for axis in dashboard.AXES:
        value = run["config"]
        for part in axis.split("."):
            value = value[part]
        assert isinstance(value, int | float)


def test_what_needs_a_login_says_so(refused):
    for arguments in (("me/spikes",), ("me/spikes", "--report", "--spec")):
        assert "wandb login" in refused(*arguments)
    assert "ENTITY/PROJECT" in refused("spikes", "--spec")
    assert "name either" in refused()
    assert "name either" in refused("me/spikes", "--local", ".")


def test_without_runs(tmp_path, capsys, refused):
    dashboard.main(["--local", str(tmp_path)])
    assert "python train.py" in capsys.readouterr().out
    assert "There are no runs" in (tmp_path / "dashboard.html").read_text()
    assert "folder of runs" in refused("--local", tmp_path / "nowhere")


def test_the_page_goes_where_it_is_asked_to(tmp_path, capsys):
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "manifest.json").write_text("{half")
    dashboard.main(["--local", str(tmp_path / "runs"), "--page", str(tmp_path / "page.html")])
    assert capsys.readouterr().out == f"1 run, 1 of them cannot be read: {tmp_path}/page.html\n"
    assert (tmp_path / "page.html").is_file()
