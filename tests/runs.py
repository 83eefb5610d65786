"""Compose configurations and run the command line, as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
CONF = REPOSITORY / "conf"
SHARED = Path(os.environ.get("SPIKEFORMER_DATA", REPOSITORY.parent / "shared" / "data"))

# A network that trains in seconds, for tests of what happens around it.
SMALL = (
    "model.d_model=16",
    "model.nhead=2",
    "model.num_layers=1",
    "timesteps=2",
    "data.batch_size=128",
)


def options(group: str) -> list[str]:
    """Names of a config group's files."""
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


def train(*arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
    """Run `python train.py` with these arguments in a process of its own."""
    process = subprocess.run(
        [sys.executable, str(REPOSITORY / "train.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=500,
        cwd=REPOSITORY,
        env={**os.environ, "WANDB_MODE": "offline", **environment},
    )
    if check:
        assert process.returncode == 0, process.stdout + process.stderr
    return process


def wait_for_file(folder: Path, pattern: str, process: subprocess.Popen) -> None:
    """Return as soon as the process has written such a file below `folder`."""
    deadline = time.monotonic() + 200
    while not any(folder.glob(pattern)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


def only_run(outputs: Path) -> Path:
    """Return the one run folder below `outputs`."""
    (manifest,) = outputs.glob("**/manifest.json")
    return manifest.parent
