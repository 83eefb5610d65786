"""Processes that need not import what the tests' own has imported.

An interpreter that imports PyTorch, Lightning and this package takes several seconds. A test that
needs a process, not the start of one, has it forked from a server, which is forked from the tests'
process after collection: it has imported everything and run no test.
"""

from __future__ import annotations

import atexit
import importlib
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import forkserver, util
from pathlib import Path
from typing import Any
from unittest import mock

import torch

_CONTEXT = multiprocessing.get_context("forkserver")


class Forked:
    """A function in a process of its own.

    Args:
        work: A function of a module.
        *arguments: Its arguments, which are pickled.
        **environment: Variables to set.
    """

    def __init__(self, work: Callable[..., object], *arguments: Any, **environment: str) -> None:
        self._name = f"{work.__name__}{arguments}"
        self._folder = tempfile.TemporaryDirectory()
        variables = {**os.environ, **environment}
        self._process = _CONTEXT.Process(
            target=_call, args=(work, arguments, variables, self._folder.name)
        )
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
        late = self.poll() is None
        if late:
            self.send_signal(signal.SIGKILL)
            self._process.join()
        assert not late, f"{self._name} takes longer than {timeout} s"
        printed = [(Path(self._folder.name) / name).read_text() for name in ("stdout", "stderr")]
        self._folder.cleanup()
        return subprocess.CompletedProcess(self._name, self.poll(), *printed)


def forked(work: Callable[..., object], *arguments: Any, **environment: str) -> str:
    """Call a function in a process of its own, which may not fail; return what it printed."""
    done = Forked(work, *arguments, **environment).communicate()
    assert done.returncode == 0, f"status {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def start_server() -> None:
    """Fork the server from this process, where `multiprocessing` would start an interpreter."""
    with mock.patch.object(util, "spawnv_passfds", _fork):
        forkserver.ensure_running()


def _fork(_: object, arguments: Sequence[str], descriptors: Sequence[int]) -> int:
    with warnings.catch_warnings():
        # Python warns where other threads run, of which those of `pytest -n` hold no lock.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if process:
        return process
    try:
        # What belongs to the tests' process is its own to close and to do at its end.
        atexit._clear()
        # A descriptor's number stays taken, or objects that have it would write elsewhere.
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in [int(path.name) for path in Path("/dev/fd").iterdir()]:
            if descriptor > 2 and descriptor not in descriptors:
                with suppress(OSError):  # the one that listed the folder
                    os.fstat(descriptor)
                    os.dup2(nothing, descriptor)
        importlib.reload(warnings)  # pytest makes errors of them
        # What counts semaphores is forked here too, and tests kill processes that hold some.
        warnings.filterwarnings("ignore", "resource_tracker: There appear to be")
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        for handler in [reference() for reference in logging._handlerList]:
            if type(handler) is logging.StreamHandler:  # made while pytest captured the output
                handler.setStream(sys.stderr)
        exec(arguments[-1])
    except SystemExit:
        pass
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _call(
    work: Callable[..., object],
    arguments: Sequence[Any],
    environment: dict[str, str],
    folder: str,
) -> None:
    os.environ |= environment
    torch.set_num_threads(1)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        with (Path(folder) / name).open("wb") as file:
            os.dup2(file.fileno(), descriptor)
    try:
        work(*arguments)
    finally:
        atexit._run_exitfuncs()  # which multiprocessing leaves out
