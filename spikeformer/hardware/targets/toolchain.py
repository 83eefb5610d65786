"""Finds toolchains and runs workers in them, so that whatever happens there ends there.

A worker gets arrays and settings in a private folder and leaves its result in it. It has a time
limit, a home folder of its own and a process group of its own, which ends with the worker, with the
limit, with an interrupt and with this process, however that dies.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from spikeformer.cross_platform import installed_toolchains, toolchain_folders
from spikeformer.error_handling import HardwareCompatibilityError, ToolchainError, check_positive
from spikeformer.files import read_arrays, read_json
from spikeformer.hardware.targets import exchange
from spikeformer.i18n import t

F = TypeVar("F")
_LAST_BYTES = 64 * 1024
_LAST_LINES = 20
_GRACE_SECONDS = 2.0
# What a worker may know about its surroundings; all else is left out, so that neither a user's
# settings for Python nor for a simulator change a result.
_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SystemRoot")


@dataclass(frozen=True, eq=False)
class WorkerResult(Generic[F]):
    """What a worker gave back.

    Attributes:
        module: Name of the worker.
        arrays: By name.
        facts: Numbers and text: versions, seconds, placement.
        output: The last lines that the worker and its toolchain printed.
    """

    module: str
    arrays: dict[str, npt.NDArray[Any]]
    facts: F
    output: str

    def spikes(
        self, name: str, shape: tuple[int, ...], most: npt.NDArray[Any] | int = 1
    ) -> npt.NDArray[np.uint8]:
        """Return an array of spikes, uint8.

        Args:
            name: Name of the array.
            shape: Its shape.
            most: Largest number of spikes at once, one number or one for each on the last axis.

        Raises:
            ToolchainError: The array is absent, or holds other than integers from 0 to `most`
                in that shape.
        """
        found = self.arrays.get(name)
        if found is None or found.shape != shape:
            got = "none" if found is None else found.shape
            raise self.refusal(f"expected {name!r} of shape {shape}, got {got}")
        if found.dtype.kind not in "biu" or (found < 0).any() or (found > most).any():
            kind = "zeros and ones" if np.max(most) == 1 else f"0 to {np.max(most)} spikes"
            raise self.refusal(f"expected {name!r} of {kind}, got {found.dtype}")
        return found.astype(np.uint8, copy=False)

    def refusal(self, reason: object) -> ToolchainError:
        """Return the error for a result that is not what was asked for."""
        return _failure(self.module, t("hardware.damaged_result", reason=reason), self.output)


def find_toolchain(name: str, python: str | Path | None = None) -> Path:
    """Return the interpreter of a toolchain's environment.

    Args:
        name: Name of the environment.
        python: Interpreter of an environment of the user's own; None looks in the folder that
            `SPIKEFORMER_TOOLCHAINS` names, then in `.toolchains` of this repository and of the
            current folder.

    Raises:
        HardwareCompatibilityError: There is none; the message says how to install it.
    """
    if python is not None:
        # Not resolved: an environment's interpreter is a link, and the link is what counts.
        given = Path(python).expanduser().absolute()
        if given.is_file() and os.access(given, os.X_OK):
            return given
        raise HardwareCompatibilityError(t("hardware.no_toolchain_python", name=name, python=given))
    found = installed_toolchains().get(name)
    if found is None:
        looked = ", ".join(str(folder / name) for folder in toolchain_folders())
        raise HardwareCompatibilityError(t("hardware.no_toolchain", name=name, looked=looked))
    return found


def run_worker(
    python: Path,
    module: str,
    arrays: Mapping[str, npt.NDArray[Any]],
    settings: Mapping[str, Any],
    *,
    timeout: float,
    environment: Mapping[str, str] | None = None,
    facts: type[F],
    modules: Sequence[str] = (),
) -> WorkerResult[F]:
    """Run a worker to its end and return its result.

    Args:
        python: Interpreter of the toolchain's environment.
        module: Full name of the worker, such as "mychip.worker.run". Its package is all that it can
            import besides `exchange` and what the toolchain's environment has.
        arrays: Its input; no array may hold objects.
        settings: Its input besides, anything that JSON can hold.
        timeout: Seconds after which it is ended.
        environment: Environment variables besides a minimal set.
        facts: What its `result.json` must hold, in terms of `msgspec.convert`.
        modules: Full names of other modules that it may import.

    Raises:
        ToolchainError: The worker could not start, exceeded its time, died, or its result is
            missing or damaged; the message ends with the last lines it printed.
    """
    check_positive("timeout", timeout)
    if not os.access(python, os.X_OK):
        raise ToolchainError(t("hardware.no_interpreter", python=python))
    # Short, since simulators make socket and report paths of it.
    with tempfile.TemporaryDirectory(prefix="spikeformer-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        np.savez(folder / "job.npz", **arrays)  # type: ignore[arg-type]
        (folder / "job.json").write_text(json.dumps(dict(settings)), encoding="utf-8")
        _link_worker(folder, module, modules)
        command = [str(python.absolute()), "-m", module]
        variables = _environment(folder) | dict(environment or {})
        status, output = _run(command, folder, variables, timeout)
        if status is None:
            raise _failure(module, t("hardware.took_too_long", limit=timeout), output)
        if status:
            raise _failure(module, t("hardware.ended_with", status=status), output)
        return read_result(module, folder, output, facts)


def _link_worker(folder: Path, module: str, modules: Sequence[str]) -> None:
    """Put the worker's package and modules into a folder, below packages that are empty."""
    package = module.rpartition(".")[0]
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    sources = {package: spec.submodule_search_locations[0]}
    for name in (exchange.__name__, *modules):
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        sources[name] = found.origin
    for name, source in sources.items():
        *parents, _ = name.split(".")
        where = folder
        for parent in parents:
            where /= parent
            where.mkdir(exist_ok=True)
            (where / "__init__.py").touch()
        (where / Path(source).name).symlink_to(source)


def _environment(folder: Path) -> dict[str, str]:
    home = folder / "home"
    home.mkdir()
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return inherited | {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "TMPDIR": str(folder),
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _run(
    command: list[str], folder: Path, variables: Mapping[str, str], timeout: float
) -> tuple[int | None, str]:
    """Run a command under the guard; return its status, None after the limit, and its output."""
    guard = Path(__file__).with_name("guard.py")
    process = subprocess.Popen(
        [sys.executable, "-I", str(guard), str(folder), *command],
        cwd=folder,
        env=dict(variables),
        stdin=subprocess.PIPE,  # stays open as long as this process lives; the guard watches it
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    tail = _Tail(process.stdout)
    try:
        status: int | None = process.wait(timeout)
    except subprocess.TimeoutExpired:
        status = None
    finally:
        _end_group(process)
    return status, tail.text()


class _Tail:
    """Reads a stream to its end in the background and keeps the last part of it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._last = stream, b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._stream:
            while chunk := self._stream.read1(_LAST_BYTES):  # type: ignore[attr-defined]
                self._last = (self._last + chunk)[-_LAST_BYTES:]

    def text(self) -> str:
        """Return the last lines; a process that escaped may hold the stream, so not for ever."""
        self._thread.join(_GRACE_SECONDS)
        lines = self._last.decode("utf-8", errors="replace").splitlines()
        return "\n".join(line[-500:] for line in lines[-_LAST_LINES:])


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End all that is left of a process group: gently, then at once."""
    if process.poll() is None:
        _signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
    _signal_group(process, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):  # nobody left; macOS says the latter of zombies
        return


def read_result(module: str, folder: Path, output: str, facts: type[F]) -> WorkerResult[F]:
    """Return what a worker left in its folder.

    Raises:
        ToolchainError: It is absent, damaged, or not what a worker of this name leaves.
    """
    try:
        found = read_json(folder / "result.json", facts)
        arrays = read_arrays(folder / "result.npz")
    except FileNotFoundError as error:
        raise _failure(module, t("hardware.no_result"), output) from error
    except (ValueError, OSError) as error:
        raise _failure(module, t("hardware.damaged_result", reason=error), output) from error
    return WorkerResult(module, arrays, found, output)


def _failure(module: str, what: str, output: str) -> ToolchainError:
    said = t("hardware.last_lines", output=output) if output else t("hardware.printed_nothing")
    return ToolchainError(t("hardware.worker_failed", module=module, what=what, said=said))
