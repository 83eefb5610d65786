"""Compose configurations and run the command line, as a user would."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

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


class Command:
    """`python train.py` in a process of its own, which need not import what others did before it.

    It is forked from a server that has imported everything and done nothing else. Its report has
    no figures as files of their own, which are half of a report's work; those of `run_script` has.

    Args:
        *arguments: The command line's.
        **environment: Variables to set.
    """

    def __init__(self, *arguments: str, **environment: str) -> None:
        self._arguments = arguments
        self._folder = tempfile.TemporaryDirectory()
        variables = {**os.environ, "WANDB_MODE": "offline", **environment}
        folder = self._folder.name
        self._process = _SERVER.Process(target=_run, args=(arguments, variables, folder))
        self._process.start()

    def poll(self) -> int | None:
        """Return the exit status, None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def communicate(self, timeout: float = 500) -> subprocess.CompletedProcess:
        """Wait for the end; return the status and what was printed."""
        self._process.join(timeout)
        assert self.poll() is not None, f"{self._arguments} takes longer than {timeout} s"
        printed = [(Path(self._folder.name) / name).read_text() for name in ("stdout", "stderr")]
        self._folder.cleanup()
        return subprocess.CompletedProcess(self._arguments, self.poll(), *printed)


_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    ["spikeformer.cli", "spikeformer.pipeline", "sklearn.datasets", "wandb", "tests.commands"]
)


def _run(arguments: Sequence[str], environment: dict[str, str], folder: str) -> None:
    os.chdir(REPOSITORY)
    os.environ |= environment
    for name, stream in (("stdout", sys.stdout), ("stderr", sys.stderr)):
        with (Path(folder) / name).open("wb") as file:
            os.dup2(file.fileno(), stream.fileno())
    sys.argv = ["train.py", *arguments]
    from spikeformer.pipeline.stages import report

    report.build_report = partial(report.build_report, save_figures=False)  # type: ignore
    try:
        runpy.run_path("train.py", run_name="__main__")
    finally:
        atexit._run_exitfuncs()  # which multiprocessing leaves out


def train(*arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
    """Run `python train.py` with these arguments to its end."""
    return _checked(Command(*arguments, **environment).communicate(), check)


def run_script(*arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    """Do the same as a stranger does, from the start of the interpreter."""
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "train.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=500,
        cwd=REPOSITORY,
        env={**os.environ, "WANDB_MODE": "offline"},
    )
    return _checked(done, check)


def _checked(done: subprocess.CompletedProcess, check: bool) -> subprocess.CompletedProcess:
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def wait_for_file(folder: Path, pattern: str, process: Command) -> None:
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
