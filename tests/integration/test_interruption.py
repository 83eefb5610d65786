"""Stopped or killed at any moment, a run goes on, and repeats the uninterrupted one."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import lightning as L
import pytest
import torch

from tests.commands import SMALL, Command, only_run, train, wait_for_file
from tests.integration.test_main_job import curves

pytestmark = pytest.mark.slow
COMMON = (
    *SMALL,
    "data.batch_size=24",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=12",  # gradients are measured in every tenth
    "trainer.limit_val_batches=1",
    "logger=none",
    "pipeline.stages=[{_target_: spikeformer.pipeline.Fit}]",
)
TRUSTED = "trusted_packages=[tests]"


class WaitForSignal(L.Callback):
    """Waits in the middle of the second epoch, the first time that it is there."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        waits = Path(trainer.default_root_dir, "waits")
        if trainer.current_epoch == batch_idx == 1 and not waits.exists():
            waits.touch()
            while not waits.read_text():
                time.sleep(0.01)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The curve of a run that nobody stops."""
    outputs = tmp_path_factory.mktemp("whole")
    train(f"paths.output_dir={outputs}", *COMMON)
    return curves(only_run(outputs))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_goes_on_where_it_was_stopped(whole, tmp_path, number):
    wait = "+callbacks.wait={_target_: tests.integration.test_interruption.WaitForSignal}"
    process = Command(f"paths.output_dir={tmp_path}", *COMMON, wait, TRUSTED)
    waits = wait_for_file(tmp_path, "**/waits", process)
    process.send_signal(number)
    waits.write_text("no longer")
    done = process.communicate()
    folder = only_run(tmp_path)
    fit = json.loads((folder / "manifest.json").read_text())["stages"]["fit"]
    if number == signal.SIGKILL:
        assert done.returncode == -number
        assert fit["status"] == "running"
    else:
        assert done.returncode == 128 + number
        assert "stopped by SIGTERM; training is saved up to epoch 2, batch 2" in done.stderr
        assert f"pipeline.resume={folder}" in done.stderr
        assert fit["status"] == "failed"
    assert len(curves(folder)) == 1
    torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    train(f"pipeline.resume={folder}", TRUSTED)
    assert curves(folder) == whole
