"""Train the digits beside processes that want the same cores; write docs/benchmarks/busy.

    python scripts/bench/busy.py

Some epochs of the default network, as `python train.py` trains it, alone and beside one burner
process per core, with idle OpenMP threads that spin as long as libgomp lets them by itself and with
what the command line sets. The four take turns, so that all see the same machine.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(REPOSITORY / "scripts"), str(REPOSITORY)]

from bench.machine import describe  # noqa: E402
from spikeformer.__main__ import SPINS  # noqa: E402

PAGE = REPOSITORY / "docs" / "benchmarks" / "busy"
LIBGOMP_SPINS = "300000"
"""What libgomp does where nothing is set."""


@contextmanager
def burners(count: int) -> Iterator[None]:
    """Keep `count` cores busy."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def train(epochs: int, spins: str) -> float:
    """Train and return the seconds of the epochs."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "train.py", f"trainer.max_epochs={epochs}", "logger=none"),
            *("validation=none", "profiler=none", f"hydra.run.dir={folder}/run"),
        ]
        environment = {**os.environ, "GOMP_SPINCOUNT": spins}
        for name in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            environment.pop(name, None)
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True
        )
    found = re.search(r"^fit .* epochs? in ([\d.]+) s", done.stdout, re.MULTILINE)
    assert found is not None, done.stdout
    return float(found[1])


def page(result: dict[str, Any]) -> str:
    """Return the results as a page of the documentation."""
    machine, rows = result["machine"], []
    alone = min(result["seconds"]["alone"].values())
    for name, label in (("alone", "nothing"), ("busy", "a burner process per core")):
        spinning, sleeping = (result["seconds"][name][key] for key in ("spinning", "sleeping"))
        rows.append(
            f"| {label} | {spinning:.1f} s, {spinning / alone:.1f}x | {sleeping:.1f} s,"
            f" {sleeping / alone:.1f}x |\n"
        )
    return (
        "# A busy machine\n\n"
        f"{result['epochs']} epochs of `python train.py` beside processes that want the same cores:"
        " the median of"
        f" {result['rounds']}\nruns, and its ratio to the fastest alone. Made by"
        " `python scripts/bench/busy.py`.\n\n"
        "| beside | threads that spin (`GOMP_SPINCOUNT=300000`, libgomp's default) | threads that"
        f" sleep (`{SPINS}`, the command line's) |\n|---|---|---|\n"
        + "".join(rows)
        + f"\nMeasured on {machine['cpu']}, {machine['cores']} cores, {result['date']}. With one"
        " burner per core, half of the cores are\nthe training's: twice the time is its share.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    train(1, SPINS)  # compiles the kernels
    seconds: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for _ in range(arguments.rounds):
        for name, count in (("alone", 0), ("busy", os.cpu_count() or 1)):
            for key, spins in (("spinning", LIBGOMP_SPINS), ("sleeping", SPINS)):
                with burners(count):
                    seconds[name][key].append(train(arguments.epochs, spins))
    result = {
        **describe(),
        "epochs": arguments.epochs,
        "rounds": arguments.rounds,
        "seconds": {
            name: {key: statistics.median(runs) for key, runs in found.items()}
            for name, found in seconds.items()
        },
    }
    PAGE.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    PAGE.with_suffix(".md").write_text(page(result), encoding="utf-8")
    print(PAGE.with_suffix(".md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
