"""What the disk refuses is said in one message; what was saved before is kept and goes on."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

import lightning as L
import pytest
import torch

from spikeformer.cli import compose
from spikeformer.pipeline import Manifest, run_pipeline
from spikeformer.reporting import load_results
from tests.commands import SMALL

FIT = "pipeline.stages=[{_target_: spikeformer.pipeline.Fit}]"


class FillDisk(L.Callback):
    """Leaves no space on a disk when the second epoch begins."""

    def __init__(self, path: str):
        self.path = Path(path)

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            with suppress(OSError), self.path.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of a few megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no right to mount a file system: {error}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.slow
def test_a_disk_that_fills_up_while_training(small_disk, command):
    folder, filler = small_disk / "run", small_disk / "filler"
    overrides = (*SMALL, FIT, "callbacks=checkpoint", "trainer.max_epochs=3")
    fill = f"+callbacks.fill={{_target_: tests.cli.test_main.FillDisk, path: {filler}}}"
    status, errors, _ = command(
        *overrides, fill, "trusted_packages=[tests]", f"hydra.run.dir={folder}"
    )
    assert status == 1
    assert "Traceback" not in errors
    assert "could not be written: No space left on device. Free some space." in errors
    assert f"pipeline.resume={folder}" in errors
    assert torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 0
    filler.unlink()
    run_pipeline(compose(*overrides, "logger=none", "trainer.accelerator=cpu"), folder)
    assert Manifest.open(folder, "").stages["fit"].status == "done"
    assert len(load_results(folder).history) == 3


def test_a_folder_that_cannot_be_made(command, tmp_path):
    file = tmp_path / "file"
    file.touch()
    status, errors, left = command(f"paths.output_dir={file}/outputs")
    assert (status, left) == (1, [])
    assert errors.count("\n") == 1
    assert f"{file}/outputs" in errors
    assert "could not be written: Not a directory. Choose a folder that you can write" in errors
