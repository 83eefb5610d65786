"""Measure how long training waits for its data; write docs/benchmarks/data-loading.

    python scripts/bench/data_loading.py --data FOLDER
    python scripts/bench/data_loading.py --data FOLDER --set cifar10

FOLDER holds `cifar10`, `fsdd` and `sst2` with their parquet files. Sets measured one at a time
are put beside what was measured before.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(REPOSITORY / "scripts"), str(REPOSITORY)]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from lightning.pytorch.profilers import SimpleProfiler  # noqa: E402

from bench.machine import describe  # noqa: E402
from bench.summary import duration_text, spread_text, summarize  # noqa: E402
from spikeformer.cli import compose  # noqa: E402
from spikeformer.config import instantiate  # noqa: E402
from spikeformer.data import SpikingDataModule  # noqa: E402
from spikeformer.pipeline.build import Components, build  # noqa: E402
from spikeformer.pipeline.caching import make_caches  # noqa: E402

PAGE = REPOSITORY / "docs" / "benchmarks" / "data-loading"
WARM = 5
"""Batches before those that are measured."""

SETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "digits": ("Digits, in memory", ("experiment=digits",)),
    "cifar10": ("CIFAR-10, in memory", ("experiment=cifar10_cpu",)),
    "cifar10-decoded": (
        "CIFAR-10, decoded anew for each batch",
        ("experiment=cifar10_cpu", "data.memory_limit_gib=0.001"),
    ),
    "fsdd": ("FSDD, in memory", ("experiment=fsdd_cpu",)),
    "sst2": ("SST-2, in memory", ("experiment=sst2_cpu",)),
}
"""Title and overrides of each case; its name begins with the folder of its data."""


def overrides(name: str, data: Path, folder: Path) -> list[str]:
    """Return what composes a case."""
    path = [] if name == "digits" else [f"data.path={data / name.partition('-')[0]}"]
    return [
        *SETS[name][1],
        *path,
        "logger=none",
        "callbacks=none",
        "trainer.max_epochs=1",
        "trainer.limit_val_batches=0",
        f"paths.cache_dir={folder}",
    ]


def measure(name: str, data: Path, batches: int, rounds: int) -> dict[str, Any]:
    """Return a row of the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        plain = overrides(name, data, folder)
        kept = [*plain, "cache=disk"]
        ready(plain)  # the tables' own copies are made before anything is timed
        ready(kept)
        setups = [(ready(plain), ready(kept)) for _ in range(rounds)]
        limit = f"trainer.limit_train_batches={WARM + batches}"
        components = build(compose(*plain, limit), folder)
        loaded = load(components.data, batches)
        trained = train(components, rounds)
        return {
            "set": name,
            "title": SETS[name][0],
            "overrides": list(SETS[name][1]),
            "batch_size": components.data.batch_size,
            "workers": components.data.workers_for(components.data.splits.train),
            "loaded_per_second": loaded,
            **trained,
            "setup_seconds": summarize(setup for setup, _ in setups),
            "cached_setup_seconds": summarize(setup for _, setup in setups),
        }


def ready(values: list[str]) -> float:
    """Return the seconds until the splits are there."""
    config = compose(*values)
    data: SpikingDataModule = instantiate(config.data, trusted=[])
    caches = make_caches(config)
    data.cache = None if caches is None else caches.shared.tensors
    start = time.perf_counter()
    data.setup()
    return time.perf_counter() - start


def load(data: SpikingDataModule, batches: int) -> float:
    """Return the samples a second of the loader when nobody does anything with them."""
    loader = iter(data.train_dataloader())
    for _ in range(WARM):
        next(loader)
    start = time.perf_counter()
    count = sum(len(target) for _, target in islice(loader, batches))
    return count / (time.perf_counter() - start)


class Stopwatch(SimpleProfiler):
    """Lightning's times of a training's parts, for us alone."""

    def describe(self) -> None:
        """Print nothing."""


def train(components: Components, rounds: int) -> dict[str, Any]:
    """Train, and return what of the time of a step goes where, in so many parts of the epoch."""
    trainer, data = components.trainer, components.data
    watch = trainer.profiler = Stopwatch()
    augment, augmenting = data.augment, list[float]()

    def timed(batch: Any, generator: torch.Generator) -> Any:
        start = time.perf_counter()
        batch = augment(batch, generator)
        augmenting.append(time.perf_counter() - start)
        return batch

    data.augment = timed  # type: ignore[method-assign]
    trainer.fit(components.module, data)
    waits = watch.recorded_durations["[_TrainingEpochLoop].train_dataloader_next"]
    steps = watch.recorded_durations["run_training_batch"]
    columns = np.array([waits[: len(steps)], augmenting[: len(steps)], steps])[:, WARM:]
    waited, augmented, stepped = np.stack(
        [part.sum(axis=1) for part in np.array_split(columns, rounds, axis=1)], axis=1
    )
    total = waited + augmented + stepped
    samples = data.batch_size * columns.shape[1] / rounds
    return {
        "wait_percent": summarize((100 * waited / total).tolist()),
        "augment_percent": summarize((100 * augmented / total).tolist()),
        "consumed_per_second": summarize((samples / (augmented + stepped)).tolist()),
        "step_ms": summarize((1e3 * total * rounds / columns.shape[1]).tolist()),
    }


def page(result: dict[str, Any]) -> str:
    """Return the page of the documentation."""
    rows = "\n".join(
        f"| {row['title']} | {row['batch_size']} | {row['workers']} "
        f"| {duration_text(row['step_ms'])} | {spread_text(row['wait_percent'], ' %')} "
        f"| {row['augment_percent']['median']:.2g} % | {row['loaded_per_second']:,.0f} "
        f"| {row['consumed_per_second']['median']:,.0f} |"
        for row in result["rows"]
    )
    setups = "\n".join(
        f"| {row['title']} | {row['setup_seconds']['median']:.2f} s "
        f"| {row['cached_setup_seconds']['median']:.2f} s |"
        for row in result["rows"]
    )
    worst = max(result["rows"], key=lambda row: row["wait_percent"]["median"])
    machine = result["machine"]
    return f"""# Data loading

How long training waits for its data, with the default number of workers: "waits" is the share of a
step that passes until the loader gives the next batch, "augments" the share in which the batch is
shifted, cropped or flipped, by the training process itself. The loader's samples a second are
those of the loader alone, the network's those it would train with if it never waited. Medians of
{result["rounds"]} parts of an epoch, quartiles in brackets.

| data | batch | workers | a step | waits | augments | loader, samples/s | network, samples/s |
|---|---|---|---|---|---|---|---|
{rows}

The longest wait is {worst["wait_percent"]["median"]:.2g} % of a step ({worst["title"]}).

Before the first step the data are read and, where they fit into memory, decoded or tokenised as a
whole; `cache=disk` keeps decoded images and spectrograms for the next run
([Decode once](../how-to/caching.md)):

| data | ready after | ready after, with `cache=disk` |
|---|---|---|
{setups}

Measured on {result["date"]} on {machine["cpu"]}, {result["threads"]} threads, GPU:
{machine["gpu"] or "none"}, torch {result["packages"]["torch"]}, by `{result["command"]}`; the
numbers are in [data-loading.json](data-loading.json).
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--set", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--batches", type=int, default=40, help="to measure, after a few to warm")
    parser.add_argument("--rounds", type=int, default=5, help="parts of these batches")
    arguments = parser.parse_args()
    stored = PAGE.with_suffix(".json")
    before = json.loads(stored.read_text())["rows"] if stored.is_file() else []
    rows = {row["set"]: row for row in before}
    for name in arguments.set:
        rows[name] = measure(name, arguments.data, arguments.batches, arguments.rounds)
        print(json.dumps(rows[name]), flush=True)
    result = {
        "command": "python scripts/bench/data_loading.py --data FOLDER",
        **describe(),
        "threads": torch.get_num_threads(),
        "batches": arguments.batches,
        "rounds": arguments.rounds,
        "rows": [rows[name] for name in SETS if name in rows],
    }
    stored.write_text(json.dumps(result, indent=2) + "\n")
    PAGE.with_suffix(".md").write_text(page(result))
    print(PAGE.with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
