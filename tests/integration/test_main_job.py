"""The main job as a stranger runs it: one command, real images, a report."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
import yaml
from packaging.version import Version

import spikeformer
from spikeformer.data import DigitsDataModule
from tests.commands import SMALL, only_run, run_script, train
from tests.wandb_records import read_offline_run

pytestmark = pytest.mark.slow
SHORT = (*SMALL, "trainer.accelerator=cpu", "trainer.max_epochs=1", "trainer.limit_train_batches=2")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, str]:
    """Train the default network for two epochs; return its folder and what it printed."""
    outputs = tmp_path_factory.mktemp("outputs")
    process = run_script(
        f"paths.output_dir={outputs}", "trainer.max_epochs=2", "trainer.accelerator=cpu", "seed=7"
    )
    return only_run(outputs), process.stdout


def test_it_learns(finished):
    folder, _ = finished
    metrics = json.loads((folder / "results" / "test.json").read_text())["metrics"]
    assert metrics["accuracy"] > 0.4  # of ten classes, after two epochs


def test_it_prints_a_line_for_each_stage(finished):
    folder, printed = finished
    stages = ["validate", "fit", "validate_trained", "test", "profile", "report"]
    last = [line for line in printed.splitlines() if line.split(" ")[0] in stages]
    assert [line.split()[0] for line in last] == stages
    assert "accuracy" in last[3]
    assert "estimate, simulation" in last[4]
    assert last[5].split()[1] == str(folder / "report.html")
    assert sum(line.startswith("epoch ") for line in printed.splitlines()) == 2
    assert "firing_rate" in printed


def test_the_run_folder_is_complete(finished):
    folder, _ = finished
    for name in (
        "config.yaml",
        "overrides.yaml",
        "environment.json",
        "manifest.json",
        "metrics.csv",
        "report.html",
        "checkpoints/last.ckpt",
        "checkpoints/best.ckpt",
        "figures/raster.png",
        "figures/confusion_matrix.svg",
        "results/test.json",
    ):
        assert (folder / name).is_file(), name
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["seed"] == 7
    assert config["neuron"]["backend"] == "auto"  # interpolations are resolved
    stages = json.loads((folder / "manifest.json").read_text())["stages"]
    assert [record["status"] for record in stages.values()] == ["done"] * 6
    environment = json.loads((folder / "environment.json").read_text())
    assert Version(environment["packages"]["torch"]).public == Version(torch.__version__).public
    with (folder / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["epoch"]) for row in rows] == [0, 1]
    assert float(rows[-1]["train/loss"]) < float(rows[0]["train/loss"])


def test_a_notebook_gets_the_same_network_back(finished):
    folder, _ = finished
    run = spikeformer.load_run(folder)
    data = DigitsDataModule()
    data.setup()
    right = total = 0
    with torch.no_grad():
        for images, labels in data.test_dataloader():
            right += int((run.network(images).mean(dim=1).argmax(dim=1) == labels).sum())
            total += len(labels)
    stored = json.loads((folder / "results" / "test.json").read_text())
    assert total == stored["num_samples"]
    assert right / total == pytest.approx(stored["metrics"]["accuracy"])
    matrix = torch.tensor(stored["confusion_matrix"])
    assert int(matrix.sum()) == total
    assert int(matrix.diagonal().sum()) == right
    assert len(run.history) == 2


def test_weights_and_biases_got_curves_configuration_and_figures(finished):
    folder, _ = finished
    run = read_offline_run(folder / "wandb")
    logged = {key for row in run["history"] for key in row}
    assert {"train/loss", "val/accuracy", "train/firing_rate", "test/accuracy"} <= logged
    for figure in ("raster", "confusion_matrix", "firing_rates"):
        assert any(key.startswith(f"figures/{figure}") for key in logged), figure
    assert run["config"]["seed"] == 7


def test_resuming_a_finished_run_does_nothing_again(finished):
    folder, _ = finished
    before = (folder / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    printed = train(f"pipeline.resume={folder}").stdout
    assert printed.count("unchanged") == 6
    assert (folder / "checkpoints" / "last.ckpt").stat().st_mtime_ns == before


def curves(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        for name in [name for name in row if name == "seconds" or name.startswith("speed/")]:
            del row[name]
    return rows


def test_a_sweep_gives_every_child_its_own_folder(tmp_path):
    stages = "pipeline.stages=[{_target_: spikeformer.pipeline.Fit}]"
    train("--multirun", "neuron=lif,plif", stages, f"paths.output_dir={tmp_path}", *SHORT)
    folders = [path.parent for path in tmp_path.glob("*/*/*/metrics.csv")]
    assert len(folders) == 2
    choices = set()
    for folder in folders:
        config = yaml.safe_load((folder / "config.yaml").read_text())
        choices.add(config["neuron"]["_target_"])
        assert (folder / "manifest.json").is_file()
        assert len(list((folder / "wandb").glob("offline-run-*"))) == 1
    assert len(choices) == 2


def test_two_processes_share_one_folder(tmp_path):
    names = ("Fit", "Test", "Report")
    stages = ",".join(f"{{_target_: spikeformer.pipeline.{name}}}" for name in names)
    process = train(
        *("trainer=ddp", "trainer.devices=2", f"pipeline.stages=[{stages}]", "logger=none", *SHORT),
        f"paths.output_dir={tmp_path}",
    )
    folder = only_run(tmp_path)
    results = json.loads((folder / "results" / "test.json").read_text())
    assert results["num_samples"] == 360
    assert len(curves(folder)) == 1
    assert process.stdout.count("report  ") == 1


def test_evaluating_a_checkpoint(finished, tmp_path):
    folder, _ = finished
    train(
        "pipeline=evaluate",
        f"checkpoint={folder}/checkpoints/last.ckpt",
        f"paths.output_dir={tmp_path}",
        "logger=none",
        "trainer.accelerator=cpu",
    )
    stored, again = (
        json.loads((path / "results" / "test.json").read_text())["metrics"]
        for path in (folder, only_run(tmp_path))
    )
    assert again["accuracy"] == stored["accuracy"]
