"""Train SpikeFormer, an ANN and SpikingJelly's Spikformer for the same time, and compare.

python scripts/bench/tables.py --table fsdd --data /data --budget-minutes 3

Writes docs/benchmarks/tables.{json,md,svg}; the tables not asked for keep their numbers. All three
see the same batches in the same order. A short run of each shows how many epochs fit the budget; a
training that misses it all the same is repeated, with as many epochs as its time allows. The
learning rate falls to zero at the end of the last one. Runs that are finished in --runs are not
trained again. The ANN is trained once more for as many epochs as ours.
`make bench-baselines` installs SpikingJelly.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1]
REPOSITORY = SCRIPTS.parent
sys.path[:0] = [str(REPOSITORY), str(SCRIPTS)]

import torch  # noqa: E402

from bench.machine import describe  # noqa: E402
from bench.training import page  # noqa: E402
from spikeformer.cli import compose  # noqa: E402

STORED = REPOSITORY / "docs" / "benchmarks" / "tables"
EQUAL = "ann-equal-epochs"
TOLERANCE = 0.15
"""By what share a training may miss its budget before it is repeated."""
NETWORKS = ("SpikeFormer", "ann", EQUAL, "Spikformer")


@dataclass(frozen=True)
class Table:
    """One data set: what is trained on it.

    Attributes:
        experiment: Our recipe.
        timesteps: Of the Spikformer, whose neurons fire at most once in each.
        ann: What makes the ANN of the same size of it.
        baseline: Sizes and learning rate of the Spikformer. Its stem takes patches of 4 or 16
            pixels; for images of 32 pixels and more 16, since 4 costs several times as much.
        trial: Share of an epoch that is enough to time it.
        has_files: Whether the data have to be given.
    """

    experiment: str
    timesteps: int
    ann: tuple[str, ...]
    baseline: tuple[str, ...]
    trial: float = 1.0
    has_files: bool = True

    def command(self, network: str, folder: Path, *overrides: str) -> list[str]:
        """Return the command that trains a network."""
        recipe = [f"experiment={self.experiment}", *self.callbacks(network), *overrides]
        if network == "Spikformer":
            options = [f"--result={folder / 'result.json'}", *self.baseline]
            steps = f"timesteps={self.timesteps}"
            return ["-m", "bench.training.baseline", *options, *recipe, steps]
        changes = () if network == "SpikeFormer" else self.ann
        return ["train.py", *recipe, *changes, f"hydra.run.dir={folder}"]

    def callbacks(self, network: str) -> list[str]:
        """Return the overrides for a network's callbacks: two phases are our recipe's alone."""
        phases = network == "SpikeFormer" and self.rate_share
        return ["callbacks=[checkpoint,hybrid]" if phases else "callbacks=[checkpoint]"]

    @cached_property
    def rate_share(self) -> float:
        """Share of the epochs that our recipe trains with rates, before those with spikes."""
        hybrid = compose(f"experiment={self.experiment}").callbacks.get("hybrid")
        return hybrid.ann_epochs if hybrid else 0.0


def _baseline(width: int, heads: int, patch: int, lr: float) -> tuple[str, ...]:
    sizes = (f"--width={width}", f"--heads={heads}", "--depth=1", f"--patch={patch}")
    return (*sizes, f"--lr={lr:g}")


_RELU = ("neuron=relu", "timesteps=1")
TABLES = {
    "digits": Table("digits", 4, _RELU, _baseline(88, 8, 4, 4e-3), has_files=False),
    "cifar10": Table(
        "cifar10_cpu", 2, (*_RELU, "task.head.gain=1"), _baseline(88, 8, 16, 4e-3), trial=0.1
    ),
    "sst2": Table("sst2_cpu", 4, _RELU, _baseline(64, 4, 1, 2e-3)),
    "fsdd": Table("fsdd_cpu", 4, _RELU, _baseline(48, 4, 16, 8e-3)),
}


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", choices=TABLES, required=True)
    parser.add_argument("--data", type=Path, help="folder with the folders cifar10, sst2 and fsdd")
    parser.add_argument("--budget-minutes", type=float, default=30.0, help="for each network")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--runs", default="outputs/bench-tables", type=Path)
    parser.add_argument("--remark", default="", help="what the page says of the circumstances")
    parser.add_argument(
        "--networks", nargs="+", choices=NETWORKS, default=NETWORKS, help="train only these"
    )
    arguments = parser.parse_args(given)
    table = TABLES[arguments.table]
    if table.has_files and arguments.data is None:
        parser.error(f"--table {arguments.table} needs --data")
    shared = ["logger=none", "trainer.accelerator=cpu"]
    recipe = f"experiment={table.experiment}"
    if table.has_files:
        shared.append(f"data.path={(arguments.data / arguments.table).resolve()}")
        recipe += f" data.path=DATA/{arguments.table}"
    runs = [
        run
        for seed in arguments.seeds
        for network in NETWORKS
        if (run := kept(arguments, table, network, [*shared, f"seed={seed}"], seed))
    ]
    measured = [run.pop("measured") for run in runs][-1]
    path = STORED.with_suffix(".json")
    tables = json.loads(path.read_text()) if path.exists() else {}
    tables[arguments.table] = {
        "command": " ".join(
            [
                f"python scripts/bench/tables.py --table {arguments.table}",
                *(["--data DATA"] if table.has_files else []),
                f"--budget-minutes {arguments.budget_minutes:g}",
                f"--seeds {' '.join(map(str, arguments.seeds))}",
            ]
        ),
        "recipe": recipe,
        "budget_minutes": arguments.budget_minutes,
        "threads": torch.get_num_threads(),
        "remark": arguments.remark,
        **measured,
        "runs": runs,
    }
    # The order of the page, whatever was measured first.
    tables = {name: tables[name] for name in TABLES if name in tables}
    path.write_text(json.dumps(tables, indent=1) + "\n")
    page.write(tables, STORED)


def kept(
    arguments: argparse.Namespace, table: Table, network: str, shared: list[str], seed: int
) -> dict | None:
    """Return a finished run, or train it where it was asked for."""
    stored = result_of(arguments, network, seed)
    if not stored.exists():
        if network not in arguments.networks:
            return None
        measured = describe()  # the code that is measured, whatever happens to it meanwhile
        if network == EQUAL:
            epochs = json.loads(result_of(arguments, "SpikeFormer", seed).read_text())["epochs"]
            found = train(table, network, shared, epochs, stored.parent)
        else:
            budget = 60 * arguments.budget_minutes
            epochs = max(1, int(budget / trial(table, network, shared)))
            found = train(table, network, shared, epochs, stored.parent)
            if abs(found["seconds"] / budget - 1) > TOLERANCE:
                epochs = max(1, round(epochs * budget / found["seconds"]))
                found = train(table, network, shared, epochs, stored.parent)
        found.pop("epoch_seconds")
        found = {"network": network, "seed": seed, **found}
        stored.write_text(json.dumps({**found, "measured": measured}, indent=1) + "\n")
    found = json.loads(stored.read_text())
    print({key: found[key] for key in found if key != "measured"}, flush=True)
    return found


def result_of(arguments: argparse.Namespace, network: str, seed: int) -> Path:
    """Return the file with the numbers of a run."""
    name = f"{arguments.table}-{network}-{arguments.budget_minutes:g}min-{seed}"
    return (REPOSITORY / arguments.runs / name / "kept.json").resolve()


def train(table: Table, network: str, shared: list[str], epochs: int, folder: Path) -> dict:
    """Train a network from the beginning, whatever its folder holds."""
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{folder.name}: {epochs} epochs", flush=True)
    options = [*shared, f"trainer.max_epochs={epochs}"]
    return run(table.command(network, folder, *options), folder)


def trial(table: Table, network: str, shared: list[str]) -> float:
    """Return the seconds that an epoch will take, from the second of two: the first is slow."""
    options = [
        *shared,
        f"trainer.limit_train_batches={table.trial}",
        "trainer.limit_test_batches=1",
        "trainer.max_epochs=2",
    ]
    share = table.rate_share if network == "SpikeFormer" else 0.0
    if share:  # two of each phase
        options += ["trainer.max_epochs=4", "callbacks.hybrid.ann_epochs=2"]
    with tempfile.TemporaryDirectory() as name:
        seconds = run(table.command(network, Path(name), *options), Path(name))["epoch_seconds"]
    return (share * seconds[1] + (1 - share) * seconds[-1]) / table.trial


def run(command: list[str], folder: Path) -> dict:
    """Train a network in a process of its own and return what it reached."""
    folder.mkdir(parents=True, exist_ok=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *command],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{SCRIPTS}"},
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = folder / "result.json"
    return {
        **(json.loads(found.read_text()) if found.exists() else ours(folder)),
        "cpu_seconds": used,
    }


def ours(folder: Path) -> dict:
    """Return what a run of train.py reached."""
    stages = json.loads((folder / "manifest.json").read_text())["stages"]
    fit, test = stages["fit"]["result"], stages["test"]["result"]
    with (folder / "metrics.csv").open() as stream:
        epochs = list(csv.DictReader(stream))
    return {
        **{key: fit[key] for key in ("epochs", "steps", "seconds", "num_parameters")},
        "epoch_seconds": [float(epoch["seconds"]) for epoch in epochs],
        "rate_epochs": sum(epoch.get("train/spiking") == "0.0" for epoch in epochs),
        "accuracy": test["accuracy"],
        "firing_rate": test["firing_rate"],
    }


if __name__ == "__main__":
    main()
