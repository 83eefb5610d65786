"""Time loading CIFAR-10 and FSDD with and without the cache on disk; write docs/benchmarks.

    python scripts/bench/caching.py --cifar10 FOLDER --fsdd FOLDER

Each round, in one process: load and decode without a cache, fill an empty one, load from it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(REPOSITORY / "scripts"), str(REPOSITORY)]

import torch  # noqa: E402

from bench.machine import describe  # noqa: E402
from spikeformer.caching import TensorCache  # noqa: E402
from spikeformer.data import AudioDataModule, ImageDataModule, SpikingDataModule  # noqa: E402

PAGE = REPOSITORY / "docs" / "benchmarks" / "caching"


def load(data: SpikingDataModule, cache: TensorCache | None) -> tuple[float, torch.Tensor]:
    data.cache = cache
    start = time.perf_counter()
    data.setup()
    seconds = time.perf_counter() - start
    return seconds, data.splits.train.inputs  # type: ignore[attr-defined]


def measure(name: str, make, rounds: int) -> dict:
    make().setup()  # the tables' own copies are made before anything is timed
    times: dict[str, list[float]] = {"decoded": [], "filled": [], "found": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            decoded, expected = load(make(), None)
            filled, _ = load(make(), TensorCache(memory_mib=0, folder=folder))
            found, inputs = load(make(), TensorCache(memory_mib=0, folder=folder))
        assert torch.equal(inputs, expected)
        for key, seconds in (("decoded", decoded), ("filled", filled), ("found", found)):
            times[key].append(seconds)
    medians = {key: statistics.median(values) for key, values in times.items()}
    return {"set": name, "rounds": times, **medians, "ratio": medians["decoded"] / medians["found"]}


def page(result: dict) -> str:
    rows = "\n".join(
        f"| {row['set']} | {row['decoded']:.2f} s | {row['filled']:.2f} s | {row['found']:.2f} s "
        f"| {row['ratio']:.1f}x |"
        for row in result["rows"]
    )
    machine = result["machine"]
    return f"""# Caching

Loading a data set from its parquet files until its tensors are ready: decoded each time, decoded
and put into an empty cache on disk, and found there. Medians of {result["repeats"]} rounds in one
process.

| data set | decoded | decoded and kept | found | decoded / found |
|---|---|---|---|---|
{rows}

Measured on {result["date"]} on {machine["cpu"]}, {machine["cores"]} threads,
torch {result["packages"]["torch"]}, by
`python scripts/bench/caching.py --cifar10 FOLDER --fsdd FOLDER`; the numbers are in
[caching.json](caching.json). [Decode once](../how-to/caching.md) says how to use it.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cifar10", required=True, help="folder with parquet files")
    parser.add_argument("--fsdd", required=True, help="folder with parquet files")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as prepared:
        common = {"cache_dir": prepared, "num_classes": 10}
        rows = [
            measure(
                "CIFAR-10, 60,000 images",
                lambda: ImageDataModule(path=options.cifar10, **common),
                options.rounds,
            ),
            measure(
                "FSDD, 3,000 spectrograms",
                lambda: AudioDataModule(path=options.fsdd, **common),
                options.rounds,
            ),
        ]
    result = {**describe(), "repeats": options.rounds, "rows": rows}
    PAGE.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    PAGE.with_suffix(".md").write_text(page(result))
    print(PAGE.with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
