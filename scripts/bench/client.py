"""The runner's end of a worker process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).resolve().parents[1]
REPOSITORY = SCRIPTS.parent
ENVIRONMENTS = REPOSITORY / ".bench"
BASELINES = tuple(sorted(path.stem for path in (Path(__file__).parent / "baselines").glob("*.txt")))

# A compiler may take minutes; a worker that says nothing for longer is stuck.
_REPLY_SECONDS = 900


class WorkerError(Exception):
    """A worker could not start, or what it was asked to do failed."""


def interpreter(library: str) -> Path:
    """Return the Python that has this library, or raise `WorkerError` if there is none.

    Our own is the one that runs.
    """
    if library == "spikeformer":
        return Path(sys.executable)
    folder = "Scripts" if os.name == "nt" else "bin"
    python = ENVIRONMENTS / library / folder / "python"
    if not python.exists():
        raise WorkerError(f"{library} is not installed; `make bench-baselines` installs it")
    return python


class Worker:
    """A process that waits for commands; leaving the context ends it.

    Every worker starts with empty caches of compiled kernels, so that its first call shows what a
    first user waits for.
    """

    def __init__(self, library: str) -> None:
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._log = Path(self._folder.name, "log")
        caches = ("NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
        environment = {**os.environ, **{key: f"{self._folder.name}/{key}" for key in caches}}
        if library == "spikeformer":  # also where it runs from a checkout without being installed
            environment["PYTHONPATH"] = str(REPOSITORY)
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [interpreter(library), "-m", "bench.worker"],
                cwd=SCRIPTS,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def __call__(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a command, wait for its reply and return it; raise `WorkerError` if it failed."""
        timer = threading.Timer(_REPLY_SECONDS, self._process.kill)
        timer.start()
        try:
            print(
                json.dumps({"command": command, **arguments}),
                file=self._process.stdin,
                flush=True,
            )
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if not line:
            last = self._log.read_text(errors="replace").strip().splitlines()[-1:]
            raise WorkerError(f"its process ended: {last[0] if last else 'killed'}")
        reply = json.loads(line)
        if "error" in reply:
            raise WorkerError(reply["error"])
        return reply
