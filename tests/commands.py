"""Compose configurations and run the command line, as a user would."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from tests.forking import Forked

REPOSITORY = Path(__file__).parents[1]
CONF = REPOSITORY / "conf"
SHARED = Path(os.environ.get("SPIKEFORMER_DATA", REPOSITORY.parent / "shared" / "data"))

# A network that trains in seconds, for tests of what happens around it.
TINY = (
    "model.d_model=16",
    "model.nhead=2",
    "model.num_layers=1",
    "timesteps=2",
    "data.batch_size=128",
)
SMALL = (*TINY, "profiler=none")


def options(group: str) -> list[str]:
    """Names of a config group's files."""
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


class Command(Forked):
    """`python train.py` in a process of its own, which need not import what others did before it.

    Its report has no figures as files of their own, which are half of a report's work; those of
    `run_script` has.

    Args:
        *arguments: The command line's.
        **environment: Variables to set.
    """

    def __init__(self, *arguments: str, **environment: str) -> None:
        super().__init__(_run, *arguments, **{"WANDB_MODE": "offline", **environment})


def _run(*arguments: str) -> None:
    os.chdir(REPOSITORY)
    sys.argv = ["train.py", *arguments]
    from spikeformer.pipeline.stages import report

    report.build_report = partial(report.build_report, save_figures=False)  # type: ignore
    runpy.run_path("train.py", run_name="__main__")


def train(*arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
    """Run `python train.py` with these arguments to its end."""
    return _checked(Command(*arguments, **environment).communicate(), check)


def run_script(*arguments: str) -> subprocess.CompletedProcess:
    """Do the same as a stranger does, from the start of the interpreter."""
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "train.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=500,
        cwd=REPOSITORY,
        env={**os.environ, "WANDB_MODE": "offline"},
    )
    return _checked(done)


def _checked(done: subprocess.CompletedProcess, check: bool = True) -> subprocess.CompletedProcess:
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def wait_for_file(folder: Path, pattern: str, process: Command) -> Path:
    """Return a file below `folder` as soon as the process has written one of such a name."""
    deadline = time.monotonic() + 200
    while not (files := list(folder.glob(pattern))):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return files[0]


def only_run(outputs: Path) -> Path:
    """Return the one run folder below `outputs`."""
    (manifest,) = outputs.glob("**/manifest.json")
    return manifest.parent
