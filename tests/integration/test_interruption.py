"""Stopped or killed at any moment, a run goes on, and repeats the uninterrupted one."""

from __future__ import annotations

import json
import signal

import pytest
import torch

from tests.commands import SMALL, Command, only_run, train, wait_for_file
from tests.integration.test_main_job import curves

pytestmark = pytest.mark.slow
COMMON = (
    *SMALL,
    "data.batch_size=24",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=3",
    "logger=none",
    "pipeline.stages=[{_target_: spikeformer.pipeline.Fit}]",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The curve of a run that nobody stops."""
    outputs = tmp_path_factory.mktemp("whole")
    train(f"paths.output_dir={outputs}", *COMMON)
    return curves(only_run(outputs))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_goes_on_where_it_was_stopped(whole, tmp_path, number):
    process = Command(f"paths.output_dir={tmp_path}", *COMMON)
    wait_for_file(tmp_path, "**/checkpoints/last.ckpt", process)
    process.send_signal(number)
    done = process.communicate()
    folder = only_run(tmp_path)
    fit = json.loads((folder / "manifest.json").read_text())["stages"]["fit"]
    if number == signal.SIGKILL:
        assert done.returncode == -number
        assert fit["status"] == "running"
    else:
        assert done.returncode == 128 + number
        assert "stopped by SIGTERM; training is saved up to epoch" in done.stderr
        assert f"pipeline.resume={folder}" in done.stderr
        assert fit["status"] == "failed"
    assert len(curves(folder)) < 3
    torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    train(f"pipeline.resume={folder}")
    assert curves(folder) == whole
