"""One contender and one case in a process of its own; commands and replies are lines of JSON.

Started as `python -m bench.worker` by `client.py`, with the interpreter of the contender's
environment. A command is an object with the key "command" and the arguments of a method of
`Session`; the reply has what the method returned, or the key "error". Tensors travel in files.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from bench import operations
from bench.registry import Case, Work, load_benchmark


class Session:
    """What a worker remembers between commands."""

    case: Case
    work: Work

    def prepare(
        self, benchmark: str, case: str, contender: str, inputs: str, outputs: str, threads: int
    ) -> dict[str, Any]:
        """Build the contender, run its first step and save what that computed."""
        torch.set_num_threads(threads)
        found = load_benchmark(benchmark)
        self.case = found.case(case)
        chosen = found.contender(contender)
        tensors = torch.load(inputs, map_location=self.case.device, weights_only=True)
        self.work = chosen.build(self.case, tensors)
        begin = time.perf_counter()
        result = self._step()
        seconds = time.perf_counter() - begin
        torch.save({name: t.cpu() for name, t in self.work.outputs(result).items()}, outputs)
        packages = {"torch", chosen.library} - {"spikeformer"}
        return {"first_call": seconds, "versions": {name: version(name) for name in packages}}

    def time(self, seconds: float) -> dict[str, Any]:
        """Repeat the step for so long, at least once, and return the median of its times."""
        times: list[float] = []
        while sum(times) < seconds:
            begin = time.perf_counter()
            self._step()
            times.append(time.perf_counter() - begin)
        return {"seconds": statistics.median(times)}

    def memory(self) -> dict[str, Any]:
        """Return the bytes that a step takes at its peak above what is held between steps."""
        gc.collect()
        if self.case.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            self._step()
            return {"bytes": torch.cuda.max_memory_allocated() - before}
        if not Path("/proc/self/clear_refs").exists():
            return {"bytes": None}
        # Memory freed by earlier steps but kept by the allocator must not hide what this one takes.
        ctypes.CDLL(None).malloc_trim(0)
        before = _resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # sets VmHWM back to VmRSS
        self._step()
        return {"bytes": _resident("VmHWM") - before}

    def operations(self) -> dict[str, Any]:
        """Return the milliseconds that a step spends in every kind of operation."""
        return {"milliseconds": operations.measure(self._step)}

    def _step(self) -> Any:
        result = self.work.step()
        if self.case.device == "cuda":
            torch.cuda.synchronize()
        return result


def _resident(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {key}")


def main() -> None:
    # Libraries print; only replies may reach the runner.
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    session = Session()
    for line in sys.stdin:
        arguments = json.loads(line)
        try:
            reply = getattr(session, arguments.pop("command"))(**arguments)
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
