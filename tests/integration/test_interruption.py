"""A signal stops a run in the middle of an epoch; resumed, it repeats the uninterrupted run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
import torch

from tests.integration.test_main_job import curves
from tests.runs import REPOSITORY, SMALL, only_run, train, wait_for_file

pytestmark = pytest.mark.slow
COMMON = (
    *SMALL,
    "data.batch_size=24",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=2",
    "logger=none",
    "callbacks=checkpoint",  # a firing rate would be that of the remaining batches
)


def test_a_signal_saves_and_the_run_goes_on_inside_the_epoch(tmp_path):
    train(f"paths.output_dir={tmp_path}/whole", *COMMON)
    outputs = tmp_path / "stopped"
    process = subprocess.Popen(
        [sys.executable, "train.py", f"paths.output_dir={outputs}", *COMMON],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_file(outputs, "**/checkpoints/last.ckpt", process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    folder = only_run(outputs)
    assert "stopped by SIGTERM; training is saved up to epoch" in errors
    assert f"pipeline.resume={folder}" in errors
    fit = json.loads((folder / "manifest.json").read_text())["stages"]["fit"]
    assert fit["status"] == "failed"
    torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    train(f"pipeline.resume={folder}")
    assert curves(folder) == curves(only_run(tmp_path / "whole"))


def test_another_number_of_processes_goes_on(tmp_path):
    """Two processes, one, two again: one curve, and the schedule ends at zero."""
    common = (*SMALL, "trainer.accelerator=cpu", "logger=none", "data.batch_size=64")
    two = ("trainer=ddp", "trainer.devices=2")
    train(*two, "trainer.max_epochs=1", f"paths.output_dir={tmp_path}", *common)
    folder = only_run(tmp_path)
    one = ("trainer=cpu", "trainer.devices=1")
    train(f"pipeline.resume={folder}", *one, "trainer.max_epochs=2")
    train(f"pipeline.resume={folder}", *two, "trainer.max_epochs=3")
    rows = curves(folder)
    assert [float(row["epoch"]) for row in rows] == [0, 1, 2]
    assert float(rows[-1]["lr"]) == pytest.approx(0, abs=1e-6)
