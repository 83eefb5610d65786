"""Measure continual learning in several ways and write docs/benchmarks/continual.{json,md,svg}.

python scripts/bench/continual.py --cifar10 /data/cifar10 --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from tqdm import tqdm

from spikeformer import figure_style
from spikeformer.cli import compose
from spikeformer.pipeline import run_pipeline
from spikeformer.pipeline.environment import describe_environment
from spikeformer.reporting.figures.tasks import draw_tasks
from spikeformer.reporting.svg import save_themed

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "benchmarks" / "continual"
FIT_ALONE = (
    "logger=none",
    "callbacks=task_protocol",
    "trainer.enable_progress_bar=false",
    "trainer.accelerator=cpu",
    "pipeline.stages=[{_target_: spikeformer.pipeline.Fit}]",
)


@dataclass(frozen=True)
class Benchmark:
    """A sequence of tasks and what each way of learning it adds to its experiment."""

    name: str
    title: str
    experiment: str
    overrides: Sequence[str]
    methods: dict[str, Sequence[str]]
    needs_cifar10: bool = False


def ways(strength: float, replay: int) -> dict[str, Sequence[str]]:
    """Return the four ways of learning that are compared."""
    return {
        "fine-tuning": [],
        "EWC": [
            "regularizer=ewc",
            f"regularizer.strength={strength:g}",
            "regularizer.max_samples=200",
        ],
        f"replay of {replay}": [f"data.replay={replay}"],
        "joint": ["data.joint=true"],
    }


BENCHMARKS = (
    Benchmark(
        "split_digits",
        "Digits in pairs, task-incremental",
        "continual_split_digits",
        [],
        ways(5000, 20),
    ),
    Benchmark(
        "permuted_digits",
        "Permuted digits, domain-incremental",
        "continual_permuted_digits",
        [],
        ways(1000, 100),
    ),
    Benchmark(
        "split_cifar10",
        "CIFAR-10 in pairs of classes, task-incremental",
        "continual_split_cifar10",
        [],
        ways(1000, 100),
        needs_cifar10=True,
    ),
    Benchmark(
        "split_digits_class",
        "Digits in pairs, class-incremental",
        "continual_split_digits",
        ["task=classification", "trainer.max_epochs=25"],
        {way: added for way, added in ways(5000, 20).items() if way != "joint"},
    ),
    Benchmark(
        "metaplastic_digits",
        "Two orders of the digits' pixels, metaplastic synapses",
        "metaplastic_digits",
        [],
        {"plain": ["model.synapses.metaplastic_rate=0"], "metaplastic": []},
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=[b.name for b in BENCHMARKS])
    parser.add_argument("--cifar10", help="folder with the parquet files; left out: from the hub")
    arguments = parser.parse_args()
    _be_quiet()
    chosen = [b for b in BENCHMARKS if not arguments.only or b.name in arguments.only]
    jobs = [(b, way, seed) for b in chosen for way in b.methods for seed in arguments.seeds]
    runs: dict[str, dict[str, list[Any]]] = {b.name: {way: [] for way in b.methods} for b in chosen}
    for benchmark, way, seed in (bar := tqdm(jobs)):
        bar.set_description(f"{benchmark.name}, {way}, seed {seed}")
        asked = benchmark.needs_cifar10 and arguments.cifar10
        path = [f"data.base.path={arguments.cifar10}"] if asked else []
        runs[benchmark.name][way].append(measure(benchmark, benchmark.methods[way], seed, path))
        if all(len(found) == len(arguments.seeds) for found in runs[benchmark.name].values()):
            write(benchmark.name, runs[benchmark.name], arguments.seeds)


def write(name: str, runs: dict[str, list[Any]], seeds: Sequence[int]) -> None:
    """Put one benchmark's runs beside those of the others, and make page and figure anew."""
    file = PAGE.with_suffix(".json")
    found = json.loads(file.read_text())["benchmarks"] if file.exists() else {}
    environment = describe_environment(0)
    result = {
        "command": "python scripts/bench/continual.py --seeds " + " ".join(map(str, seeds)),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {key: environment[key] for key in ("cpu", "python")},
        "torch": environment["packages"]["torch"],
        "benchmarks": {**found, name: runs},
    }
    file.write_text(json.dumps(result, indent=1) + "\n")
    PAGE.with_suffix(".md").write_text(page(result))
    save_themed(figure(result), PAGE.with_suffix(".svg"))


def measure(
    benchmark: Benchmark, overrides: Sequence[str], seed: int, path: Sequence[str]
) -> dict[str, Any]:
    """Train one way with one seed, and return what its run wrote about the tasks."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        config = compose(
            f"experiment={benchmark.experiment}",
            *FIT_ALONE,
            f"seed={seed}",
            *benchmark.overrides,
            *path,
            *overrides,
        )
        run_pipeline(config, Path(folder))
        tasks = json.loads((Path(folder) / "results" / "tasks.json").read_text())
    return {"seed": seed, "cpu_seconds": round(time.process_time() - start, 1), **tasks}


def page(result: dict[str, Any]) -> str:
    """Return the tables as a page of the documentation."""
    sections = []
    for benchmark in BENCHMARKS:
        if (ways := result["benchmarks"].get(benchmark.name)) is None:
            continue
        first = next(iter(ways.values()))[0]
        rows = "\n".join(
            f"| {way} | {_spread(runs, 'average_accuracy')} | {_spread(runs, 'forgetting')} "
            f"| {_learned(runs)} | {statistics.fmean(r['cpu_seconds'] for r in runs):.0f} s |"
            for way, runs in ways.items()
        )
        command = " ".join(
            ["python train.py", f"experiment={benchmark.experiment}", *benchmark.overrides]
        )
        changes = "; ".join(
            f"{way}: `{' '.join(overrides)}`"
            for way, overrides in benchmark.methods.items()
            if overrides
        )
        sections.append(
            f"""## {benchmark.title}

`{command}`, {len(first["tasks"])} tasks. {changes}.

| way | average accuracy | forgetting | accuracy when learned | CPU time |
|---|---|---|---|---|
{rows}
"""
        )
    text = (Path(__file__).parent / "continual.md").read_text()
    machine = result["machine"]
    return text.format(
        sections="\n".join(sections),
        date=result["date"],
        machine=f"one core of {machine['cpu']}",
        torch=result["torch"],
        command=result["command"],
    )


def figure(result: dict[str, Any]) -> Figure:
    """Draw the matrices, averaged over seeds: a row for each benchmark, a column for each way."""
    shown = [b for b in BENCHMARKS if b.name in result["benchmarks"]]
    columns = max(len(b.methods) for b in shown)
    drawing = figure_style.new_figure(3.1 * columns, 2.7 * len(shown))
    for row, benchmark in enumerate(shown):
        for column, (way, runs) in enumerate(result["benchmarks"][benchmark.name].items()):
            axes = drawing.add_subplot(len(shown), columns, row * columns + column + 1)
            matrix = torch.tensor([run["accuracy"] for run in runs]).mean(0).tolist()
            draw_tasks(axes, matrix, [str(1 + task) for task in range(len(matrix))])
            figure_style.title(axes, f"{benchmark.name}: {way}")
    return drawing


def _spread(runs: list[dict[str, Any]], key: str) -> str:
    values = [100 * run[key] for run in runs]
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.1f} ± {spread:.1f} %"


def _learned(runs: list[dict[str, Any]]) -> str:
    """Return the mean accuracy on each task right after it was trained."""
    diagonals = [
        statistics.fmean(row[task] for task, row in enumerate(run["accuracy"])) for run in runs
    ]
    return f"{100 * statistics.fmean(diagonals):.1f} %"


def _be_quiet() -> None:
    """Leave the terminal to the one progress bar."""
    warnings.filterwarnings("ignore")
    for name in ("lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # Batches this small gain nothing from a second thread.
    torch.set_num_threads(1)
    if not sys.stderr.isatty():
        tqdm.monitor_interval = 0


if __name__ == "__main__":
    main()
