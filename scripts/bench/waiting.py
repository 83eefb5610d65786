"""Measure what a person waits for at the command line; write docs/benchmarks/waiting.{json,md}.

    python scripts/bench/waiting.py --rounds 5

Every wait is that of a process of its own, with its kernels compiled and its files read before. The
commands take turns, so that all see the same machine; the page has the medians of the wall clock
and of the processes' own CPU time, which a busy machine changes less.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(REPOSITORY / "scripts"), str(REPOSITORY)]

import lightning as L  # noqa: E402

from bench.machine import describe  # noqa: E402

PAGE = REPOSITORY / "docs" / "benchmarks" / "waiting"
Waits = dict[str, tuple[float, float]]
"""Seconds by the wall clock and of CPU time, by what is waited for."""

FIRST, EXIT = "first batch of `python train.py`", "`python train.py`: from the report to the prompt"
REPORT = "`spikeformer report RUN`"
TRAINER, BOUND = "`from spikeformer import SpikingTrainer`", "`import lightning`, for comparison"
TARGETS = {TRAINER: 3.0, FIRST: 5.0, EXIT: 1.0, REPORT: 1.5}
"""Seconds by the wall clock that we aim at."""
COMMANDS = {
    "`import spikeformer`": ("-c", "import spikeformer"),
    TRAINER: ("-c", "from spikeformer import SpikingTrainer"),
    BOUND: ("-c", "import lightning"),
    "`import torch`, for comparison": ("-c", "import torch"),
    "`spikeformer --help`": ("-m", "spikeformer", "--help"),
    "`python train.py --help`": ("train.py", "--help"),
}


class FirstBatch(L.Callback):
    """Writes down when the first training batch began.

    Args:
        path: The file, which gets the time of day and the CPU seconds of the process until then.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Write it once."""
        if not self.path.exists():
            self.path.write_text(f"{time.time()} {time.process_time()}")


def command(*arguments: str) -> tuple[float, float]:
    """Run Python to its end."""
    used, start = _cpu_of_children(), time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        env=_environment(),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - start, _cpu_of_children() - used


def run(folder: Path) -> Waits:
    """Train for an epoch, then write the report again."""
    moment = folder / "first-batch"
    arguments = [
        "train.py",
        f"hydra.run.dir={folder / 'run'}",
        "trainer.max_epochs=1",
        "trainer.accelerator=cpu",
        "trusted_packages=[bench]",
        f"+callbacks.first_batch={{_target_: bench.waiting.FirstBatch, path: {moment}}}",
    ]
    start = time.time()
    process = subprocess.Popen(
        [sys.executable, "-u", *arguments],
        cwd=REPOSITORY,
        env=_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    reported = 0.0
    for line in process.stdout:
        if line.startswith("report "):
            reported, used = time.time(), _cpu_of(process.pid)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or not reported:
        raise SystemExit(f"python {' '.join(arguments)} failed")
    began, until_first = map(float, moment.read_text().split())
    return {
        FIRST: (began - start, until_first),
        EXIT: (time.time() - reported, usage.ru_utime + usage.ru_stime - used),
        REPORT: command("-m", "spikeformer", "report", str(folder / "run")),
    }


def _environment() -> dict[str, str]:
    path = os.pathsep.join([str(REPOSITORY / "scripts"), str(REPOSITORY)])
    return {**os.environ, "PYTHONPATH": path, "WANDB_MODE": "offline"}


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _cpu_of(pid: int) -> float:
    """Return the CPU seconds of a process that runs, with those of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def page(result: dict[str, Any]) -> str:
    """Return the results as a page of the documentation."""
    machine = result["machine"]
    rows = "".join(
        f"| {name} | {wait['wall']:.2f} s | {_target(name)} | {wait['cpu']:.2f} s |\n"
        for name, wait in result["seconds"].items()
    )
    return f"""# Waiting

What a person waits for at the command line: medians of {result["rounds"]} processes each, by the
wall clock and in CPU seconds. Made by `{result["command"]}`; the numbers are in
[waiting.json](waiting.json).

| until the end of | wall clock | target | CPU |
|---|---|---|---|
{rows}
The run logs to W&B offline, and trains the default network for one epoch on the CPU. `--help` and
`report` need no torch. What trains imports lightning, and with it torch, torchmetrics and SciPy:
that is nearly all of `SpikingTrainer`'s time and the bound of the first batch. By itself it takes
{result["seconds"][BOUND]["wall"]:.2f} s here, with Python's searches for garbage, which SpikeFormer
does without while it imports.

Measured on {machine["cpu"]}, {machine["cores"]} cores, {result["date"]}, with Python
{machine["python"]} and torch {result["packages"]["torch"]}.
"""


def _target(name: str) -> str:
    return f"{TARGETS[name]:g} s" if name in TARGETS else ""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for turn in range(rounds + 1):  # the first one compiles, and is not counted
        waits = {name: command(*arguments) for name, arguments in COMMANDS.items()}
        with tempfile.TemporaryDirectory() as folder:
            waits |= run(Path(folder))
        print(
            f"turn {turn}:", {name: f"{wall:.2f}, {cpu:.2f}" for name, (wall, cpu) in waits.items()}
        )
        if turn:
            for name, wait in waits.items():
                found[name].append(wait)
    result = {
        "command": " ".join(["python scripts/bench/waiting.py", *sys.argv[1:]]),
        **describe(),
        "rounds": rounds,
        "seconds": {
            name: {
                kind: statistics.median(wait[place] for wait in waits)
                for place, kind in enumerate(("wall", "cpu"))
            }
            for name, waits in found.items()
        },
    }
    PAGE.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    PAGE.with_suffix(".md").write_text(page(result), encoding="utf-8")
    print(PAGE.with_suffix(".md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
