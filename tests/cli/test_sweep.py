"""Sweeps that are killed, searched, distributed."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import lightning as L
import pytest
import torch
import yaml
from hydra.errors import ConfigCompositionException

from spikeformer.cli import main
from spikeformer.cli.config import config_folder
from spikeformer.cli.messages import explain
from spikeformer.cli.sweep import _started, with_page_of_sweep
from tests.commands import SMALL, Command, wait_for_file
from tests.runs.sweeps import write_sweep

FIT = "pipeline.stages=[{_target_: spikeformer.pipeline.Fit}]"
SHORT = (*SMALL, FIT, "logger=none", "trainer.accelerator=cpu", "trainer.limit_train_batches=2")


class StopSecond(L.Callback):
    """Is Ctrl-C in the second child of a sweep."""

    def on_train_start(self, trainer, pl_module):
        if trainer.default_root_dir.endswith("/1"):
            raise KeyboardInterrupt


class WaitToBeKilled(L.Callback):
    """Stops the second child of a sweep after an epoch, the first time that it is there."""

    def on_train_epoch_start(self, trainer, pl_module):
        waits = Path(trainer.default_root_dir, "waits")
        if waits.parent.name == "1" and trainer.current_epoch == 1 and not waits.exists():
            waits.touch()
            time.sleep(1000)


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """Run the command line in this process."""
    handlers, level = logging.root.handlers[:], logging.root.level
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        main()
        return capsys.readouterr().out

    yield run
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def statuses(sweep):
    return {
        path.parent.name: json.loads(path.read_text())["stages"]["fit"]["status"]
        for path in sweep.glob("*/manifest.json")
    }


def epochs(child):
    return len((child / "metrics.csv").read_text().splitlines()) - 1


@pytest.mark.slow
def test_a_killed_search_goes_on_and_repeats_no_trial(command, tmp_path):
    optuna = pytest.importorskip("optuna", reason="the extra sweeps is not installed")
    short = ("trainer.max_epochs=3", "hydra.sweeper.n_trials=3")
    process = Command(
        *("--multirun", "hparams_search=optuna", *short),
        *(f"paths.output_dir={tmp_path}", *SHORT, "trusted_packages=[tests]"),
        "+callbacks.wait={_target_: tests.cli.test_sweep.WaitToBeKilled}",
    )
    wait_for_file(tmp_path, "*/*/1/waits", process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (record,) = tmp_path.glob("*/*/sweep.yaml")
    sweep = record.parent
    assert statuses(sweep) == {"0": "done", "1": "running"}
    assert epochs(sweep / "1") == 1
    before = {path: path.read_bytes() for path in (sweep / "0").rglob("*") if path.is_file()}

    again = ("--multirun", f"pipeline.resume={sweep}", "trusted_packages=[tests]")
    command(*again)
    assert statuses(sweep) == {"0": "done", "1": "done", "2": "done"}
    assert {path: path.read_bytes() for path in before} == before
    assert epochs(sweep / "1") == 3
    assert all(f'data-value="{run}"' in (sweep / "report.html").read_text() for run in range(3))
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{sweep / 'study.db'}")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3
    rates = [trial.params["optimizer.lr"] for trial in study.trials]
    assert len(set(rates)) == 3
    for trial in study.trials:
        config = yaml.safe_load((sweep / str(trial.number) / "config.yaml").read_text())
        assert config["optimizer"]["lr"] == pytest.approx(trial.params["optimizer.lr"])
        manifest = json.loads((sweep / str(trial.number) / "manifest.json").read_text())
        assert trial.value == manifest["stages"]["fit"]["result"]["val/accuracy"]

    # A finished search has nothing left to do.
    command(*again)
    assert len(study.trials) == len(statuses(sweep)) == 3


def test_processes_of_a_sweep_share_the_cores(monkeypatch):
    joblib = pytest.importorskip("joblib", reason="the extra sweeps is not installed")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    processes = 2
    # As the launcher starts them; os.getenv runs in the process.
    threads = joblib.Parallel(processes, backend="loky")(
        joblib.delayed(os.getenv)("OMP_NUM_THREADS") for _ in range(processes)
    )
    assert {int(count) for count in threads} == {max(1, joblib.cpu_count() // processes)}


@pytest.mark.slow
def test_every_rank_of_a_sweeps_child_gets_the_childs_values(command, tmp_path):
    before = {name: os.environ.get(name) for name in ("LOCAL_RANK", "MASTER_PORT", "WORLD_SIZE")}
    command(
        *("--multirun", "seed=2", "trainer=ddp", "trainer.devices=2", "trainer.max_epochs=1"),
        *(f"paths.output_dir={tmp_path}", *SHORT),
    )
    (record,) = tmp_path.glob("*/*/sweep.yaml")
    assert statuses(record.parent) == {"0": "done"}
    assert [path.name for path in record.parent.parent.iterdir()] == [record.parent.name]
    assert yaml.safe_load((record.parent / "0" / "config.yaml").read_text())["seed"] == 2
    assert {name: os.environ.get(name) for name in before} == before
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ((), "objective="),
        (("objective=[fit.val/accuracy]",), "'maximize STAGE.NUMBER'"),
        (("objective=[minimize test.loss]", "hydra/sweeper/pruner=median"), "Pruning compares one"),
    ],
)
def test_a_search_needs_an_objective(command, tmp_path, capsys, extra, message):
    pytest.importorskip("optuna", reason="the extra sweeps is not installed")
    with pytest.raises(SystemExit) as stop:
        command("--multirun", "hydra/sweeper=optuna", f"paths.output_dir={tmp_path}", *extra)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("choice", "extra"),
    [
        ("hydra/launcher/joblib", "sweeps"),
        ("hydra/launcher/submitit_slurm", "slurm"),
        ("hydra/launcher/ray", "ray"),
    ],
)
def test_a_missing_plugin_names_its_extra(choice, extra):
    error = ConfigCompositionException(f"Could not find '{choice}'\n\nAvailable options: basic")
    assert f'"spikeformer[{extra}]"' in explain(error, [], config_folder())


@pytest.mark.slow
def test_ctrl_c_in_a_sweep_says_how_the_sweep_goes_on(command, tmp_path, capsys):
    sweep = tmp_path / "sweep"
    stop = "+callbacks.stop={_target_: tests.cli.test_sweep.StopSecond}"
    arguments = ("--multirun", "seed=1,2,3", *SHORT, stop, "trusted_packages=[tests]")
    with pytest.raises(SystemExit) as ended:
        command(*arguments, "trainer.max_epochs=1", f"hydra.sweep.dir={sweep}")
    assert ended.value.code == 128 + signal.SIGINT
    errors = capsys.readouterr().err
    assert f"--multirun pipeline.resume={sweep}\n" in errors
    assert "Traceback" not in errors
    assert statuses(sweep)["0"] == "done"
    assert not (sweep / "2").exists()


@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_a_sweep_has_a_page_unless_it_was_interrupted(tmp_path, error):
    write_sweep(tmp_path, [({"seed": 1}, 0.5), ({"seed": 2}, None)])
    with pytest.raises(error) if error else nullcontext(), with_page_of_sweep():
        _started.append(tmp_path)
        if error:
            raise error
    assert (tmp_path / "report.html").exists() == (error is not KeyboardInterrupt)


def test_a_sweep_without_results_says_why_it_has_no_page(tmp_path, capsys):
    write_sweep(tmp_path, [({"seed": 1}, None)])
    with with_page_of_sweep():
        _started.append(tmp_path)
    assert "fit.val/accuracy" in capsys.readouterr().out
    assert not (tmp_path / "report.html").exists()
