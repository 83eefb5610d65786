"""Kill a training run again and again, resume it each time; write docs/benchmarks/interruption.

    python scripts/bench/interruption.py --kills 20 --seed 0

Each kill is sent at a random moment: while the run starts, trains, writes a checkpoint, or in the
stages after training; to the process alone or to its whole group, as a scheduler does. After each
one every checkpoint must load and at most one interval between checkpoints may be lost. At last the
run must have the curve, the weights and the test results of one that nobody killed.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(REPOSITORY / "scripts"), str(REPOSITORY)]

import lightning as L  # noqa: E402
import torch  # noqa: E402

from bench.machine import describe  # noqa: E402

PAGE = REPOSITORY / "docs" / "benchmarks" / "interruption"
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGUSR1)
SHARES = {"start": 5, "training": 8, "checkpoint": 5, "later stages": 2}
"""When to kill, and how often of twenty times."""
PATIENCE = 600.0
"""Seconds after which a run that was asked to stop counts as hanging."""


class StepLog(L.Callback):
    """Appends the number of each step that the run has done to a file, at once."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Append the step's number."""
        with self.path.open("a") as stream:
            stream.write(f"{trainer.global_step}\n")


@dataclass(frozen=True)
class Kill:
    """A signal, to whom, with how many loader workers, and when."""

    number: signal.Signals
    to_group: bool
    workers: int
    moment: str


def plan(kills: int, rng: random.Random) -> list[Kill]:
    """Return kills in random order, save that those of the later stages are the last."""
    total = sum(SHARES.values())
    moments = [name for name, share in SHARES.items() for _ in range(round(share * kills / total))]
    moments = list(islice(cycle(moments or SHARES), kills))
    signals = cycle(SIGNALS)
    planned = [Kill(next(signals), rng.random() < 0.5, rng.randint(0, 1), m) for m in moments]
    rng.shuffle(planned)
    return sorted(planned, key=lambda kill: kill.moment == "later stages")


class KilledRun:
    """A run folder, and the processes that work in it one after the other."""

    def __init__(self, folder: Path, epochs: int) -> None:
        self.folder, self.steps = folder / "run", folder / "steps.log"
        self.steps.touch()
        self.command = [
            "model.d_model=16",
            "model.nhead=2",
            "model.num_layers=1",
            "timesteps=2",
            "data.batch_size=24",
            "trainer.limit_train_batches=20",
            "trainer.accelerator=cpu",
            f"trainer.max_epochs={epochs}",
            "trusted_packages=[bench]",
            f"+callbacks.steps={{_target_: bench.interruption.StepLog, path: {self.steps}}}",
            f"hydra.run.dir={self.folder}",
        ]

    def start(self, workers: int = 0) -> subprocess.Popen[str]:
        """Begin the run, or go on with what there is."""
        begun = (self.folder / "overrides.yaml").is_file()
        arguments = [f"pipeline.resume={self.folder}"] if begun else self.command
        self.seen_before = self.steps.stat().st_size
        self.began = time.monotonic()
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path[:2]),
            "WANDB_MODE": "offline",
        }
        return subprocess.Popen(
            [sys.executable, "train.py", *arguments, f"data.num_workers={workers}"],
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def last_step(self) -> int:
        """Return the last step of the present process; 0 if it has done none."""
        with self.steps.open() as stream:
            stream.seek(self.seen_before)
            done = stream.read().split("\n")[:-1]
        return int(done[-1]) if done else 0

    def saved_step(self) -> int:
        """Return the step of `last.ckpt`."""
        path = self.folder / "checkpoints" / "last.ckpt"
        return load(path)["global_step"] if path.is_file() else 0

    def is_trained(self) -> bool:
        """Tell whether the stage that trains is done."""
        path = self.folder / "manifest.json"
        if not path.is_file():
            return False
        fit = json.loads(path.read_text())["stages"].get("fit", {})
        return fit.get("status") == "done"

    def is_writing(self, process: subprocess.Popen[str]) -> bool:
        """Tell whether a process has begun a checkpoint that it has not put in place yet."""
        with suppress(FileNotFoundError), os.scandir(self.folder / "checkpoints") as files:
            return any(file.name.startswith(f".{process.pid}.") for file in files)
        return False

    def curve(self) -> list[dict[str, str]]:
        """Return the table of epochs without their times."""
        with (self.folder / "metrics.csv").open() as stream:
            return [{**row, "seconds": ""} for row in csv.DictReader(stream)]

    def results(self) -> dict[str, Any]:
        """Return what a run leaves that must not depend on how often it was killed."""
        weights = {
            path.name: {key: value.tolist() for key, value in load(path)["state_dict"].items()}
            for path in (self.folder / "checkpoints").iterdir()
        }
        test = json.loads((self.folder / "results" / "test.json").read_text())
        return {"curve": self.curve(), "weights": weights, "test": test}


def load(path: Path) -> dict[str, Any]:
    """Load a checkpoint, and refuse one that holds anything but finite numbers."""
    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    for name, value in checkpoint["state_dict"].items():
        assert bool(torch.isfinite(value).all()), f"{path}: {name} is not finite"
    return checkpoint


@dataclass(frozen=True)
class Pace:
    """Seconds that a run takes: to its first step, for an epoch, and after training."""

    start: float
    epoch: float
    later: float


def uninterrupted(run: KilledRun, epochs: int) -> tuple[Pace, int]:
    """Let a run go to its end; return its pace and the steps of an epoch."""
    process = run.start()
    wait(process, lambda: run.last_step() > 0)
    first = time.monotonic()
    wait(process, run.is_trained)
    trained = time.monotonic()
    output, _ = process.communicate()
    assert process.returncode == 0, output
    end = time.monotonic()
    pace = Pace(first - run.began, (trained - first) / epochs, end - trained)
    return pace, run.last_step() // epochs


def wait(process: subprocess.Popen[str], condition: Any, interval: float = 0.01) -> None:
    while not condition():
        if process.poll() is not None:
            output, _ = process.communicate()
            sys.exit(f"the run ended by itself; give it more epochs\n{output}")
        time.sleep(interval)


def await_moment(kill: Kill, run: KilledRun, process: Any, pace: Pace, rng: random.Random) -> None:
    if kill.moment == "start":
        latest = time.monotonic() + rng.uniform(0.1, pace.start)
        wait(process, lambda: time.monotonic() > latest or run.last_step() > 0)
    elif kill.moment == "later stages":
        wait(process, run.is_trained)
        time.sleep(rng.uniform(0, 0.9 * pace.later))
    else:
        wait(process, lambda: run.last_step() > 0)
        time.sleep(rng.uniform(0, 1.5 * pace.epoch))
        if kill.moment == "checkpoint":
            wait(process, lambda: run.is_writing(process), interval=0)


def strike(kill: Kill, run: KilledRun, pace: Pace, interval: int, rng: random.Random) -> dict:
    """Start the run, kill it, and look at what it left; return a row of the table."""
    before, trained = run.saved_step(), run.is_trained()
    process = run.start(kill.workers)
    await_moment(kill, run, process, pace, rng)
    sent = time.monotonic()
    send = os.killpg if kill.to_group else os.kill
    send(process.pid, kill.number)
    try:
        output, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        sys.exit(f"{kill}: still running after {PATIENCE:.0f} s")
    stopped = time.monotonic()
    seen, saved = run.last_step(), run.saved_step()
    lost = max(0, (seen or before) - saved)
    row = {
        "moment": kill.moment,
        "signal": kill.number.name,
        "to": "group" if kill.to_group else "process",
        "workers": kill.workers,
        "seconds": sent - run.began,
        "seconds_to_exit": stopped - sent,
        "exit_status": process.returncode,
        "message": next(iter(re.findall(r"^error: (.*)", output, re.MULTILINE)), ""),
        "last_step": seen or before,
        "saved_step": saved,
        "lost_steps": lost,
    }
    row["faults"] = list(faults(kill, run, row, output, trained, interval))
    if row["faults"]:
        print(output)
    return row


def faults(
    kill: Kill, run: KilledRun, row: dict, output: str, trained: bool, interval: int
) -> Iterator[str]:
    """Yield what should not be so."""
    for path in (run.folder / "checkpoints").glob("[!.]*.ckpt"):  # a point begins a temporary name
        try:
            load(path)
        except Exception as error:
            yield f"{path.name} is corrupt: {error}"
    if trained and not run.is_trained():
        yield "training is forgotten"
    killed = kill.number == signal.SIGKILL
    if row["lost_steps"] > (interval if killed else 0):
        yield f"{row['lost_steps']} steps are lost"
    if row["exit_status"] != (-kill.number if killed else 128 + kill.number):
        yield f"exit status {row['exit_status']}"
    if "Traceback" in output:
        yield "a traceback"
    if not killed and f"stopped by {kill.number.name}" not in row["message"]:
        yield "no message"
    if not killed and any(run.folder.rglob(".*.ckpt")):
        yield "half a checkpoint is left"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=40, help="enough to outlast the kills")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), arguments.kills, arguments.epochs, rng)
    wrong = [fault for row in result["kills"] for fault in row["faults"]]
    wrong += [] if result["equal"] else ["the killed run ends differently"]
    if wrong:
        sys.exit("\n".join(wrong))
    command = " ".join(["python scripts/bench/interruption.py", *sys.argv[1:]])
    result = {"command": command, "seed": arguments.seed, **describe(), **result}
    PAGE.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    PAGE.with_suffix(".md").write_text(page(result))
    print(PAGE.with_suffix(".md").read_text())


def measure(folder: Path, kills: int, epochs: int, rng: random.Random) -> dict[str, Any]:
    """Train undisturbed, then killed so often, and compare."""
    whole = KilledRun(make(folder / "whole"), epochs)
    pace, interval = uninterrupted(whole, epochs)
    print(f"undisturbed: {pace}", flush=True)
    killed, rows = KilledRun(make(folder / "killed"), epochs), []
    for kill in plan(kills, rng):
        rows.append(strike(kill, killed, pace, interval, rng))
        print(f"{len(rows)}: {rows[-1]}", flush=True)
    process = killed.start()
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return {
        "epochs": epochs,
        "steps_between_checkpoints": interval,
        "undisturbed_seconds": vars(pace),
        "kills": rows,
        "equal": killed.results() == whole.results(),
    }


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def page(result: dict[str, Any]) -> str:
    """Return the page of the documentation."""
    kills, interval = result["kills"], result["steps_between_checkpoints"]
    rows = "\n".join(
        f"| {i} | {row['signal']} | {row['to']} | {row['workers']} | {row['moment']} "
        f"| {row['last_step']:,} | {row['saved_step']:,} | {row['lost_steps']} "
        f"| {row['seconds_to_exit']:.2f} s |"
        for i, row in enumerate(kills, 1)
    )
    asked = [row for row in kills if row["signal"] != "SIGKILL"]
    hard = [row for row in kills if row["signal"] == "SIGKILL"]
    slowest = max((row["seconds_to_exit"] for row in asked), default=0.0)
    most = max((row["lost_steps"] for row in hard), default=0)
    machine = result["machine"]
    return f"""# Interruptions

A small network (width 16, one block, T = 2) on the digits: {result["epochs"]} epochs of {interval}
batches with a checkpoint after each epoch, killed {len(kills)} times at random moments
(seed {result["seed"]}) and resumed each time, with and without a process that loads the data. A
kill goes to the run's own process alone, or to all of its processes, as a scheduler's does.

| kill | signal | to | workers | while | step done | step saved | lost | gone after |
|---|---|---|---|---|---|---|---|---|
{rows}

Each time every checkpoint could be loaded. The {len(asked)} signals that ask lost nothing: the run
saved the step it was in, said so, and was gone after {slowest:.1f} s at most. The {len(hard)} times
that nobody asked lost {most} steps at most, no more than one interval. In the end the run
had the curve, the weights and the test results, bit for bit, of one that nobody killed.

Measured on {result["date"]} on {machine["cpu"]}, torch {result["packages"]["torch"]}, by
`{result["command"]}`; the numbers are in [interruption.json](interruption.json).
[Resume and evaluate](../how-to/resume.md) says how to go on.
"""


if __name__ == "__main__":
    main()
