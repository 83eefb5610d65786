"""Time and memory of a training step as its sizes grow; write docs/benchmarks/growth.

    python scripts/bench/growth.py

One size of a spiking ViT changes at a time: timesteps, tokens, width, batch, and the processes that
train side by side. Every point is processes of its own with one thread, so that memory held by one
does not hide that of the next: one for time, and one for memory, in which the C library gives back
what a step frees. The page fits a straight line to the logarithms: a slope of 1 is proportional
growth.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import isqrt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(REPOSITORY / "scripts"), str(REPOSITORY)]

from bench.machine import describe  # noqa: E402

PAGE = REPOSITORY / "docs" / "benchmarks" / "growth"


@dataclass(frozen=True)
class Sizes:
    """Sizes of a training step.

    Attributes:
        timesteps: T.
        tokens: A square; a token stands for 4x4 pixels.
        width: Channels of a token, a multiple of 32.
        batch: Samples.
        processes: That train side by side, one thread each.
        recompute: Currents that backward computes again instead of keeping them.
    """

    timesteps: int = 4
    tokens: int = 64
    width: int = 128
    batch: int = 16
    processes: int = 1
    recompute: str = "none"


GROWN: dict[str, tuple[int, ...]] = {
    "timesteps": (1, 2, 4, 8, 16, 32),
    "timesteps, recompute": (1, 2, 4, 8, 16, 32),
    "tokens": (16, 64, 256, 1024),
    "width": (64, 128, 256, 512),
    "batch": (4, 8, 16, 32, 64),
    "processes": (1, 2),
}
EXPECTED = {
    "timesteps": ("1", "1: a layer computes the currents of all its timesteps at once"),
    "timesteps, recompute": ("1", "1, of fewer bytes: bits of spikes, and the floats of one layer"),
    "tokens": ("1: attention on spikes is linear in tokens", "1"),
    "width": ("between 1 (norms, neurons) and 2 (dense layers)", "between 1 and 2"),
    "batch": ("1", "1"),
    "processes": ("0 as long as there are cores", "0 for each"),
}


def step_of(sizes: Sizes) -> Callable[[], Any]:
    """Return one AdamW step of a spiking ViT with two blocks on random images."""
    import torch
    from torch.nn.functional import cross_entropy

    from spikeformer.models import SpikingViT, recompute_currents

    torch.manual_seed(0)
    side = 4 * isqrt(sizes.tokens)
    net = SpikingViT(
        3,
        side,
        d_model=sizes.width,
        nhead=sizes.width // 32,
        num_layers=2,
        stem_strides=[2, 2],
        timesteps=sizes.timesteps,
    )
    recompute_currents(net, sizes.recompute)
    head = torch.nn.Linear(sizes.width, 10)
    optimizer = torch.optim.AdamW([*net.parameters(), *head.parameters()])
    images = torch.rand(sizes.batch, 3, side, side)
    labels = torch.randint(10, (sizes.batch,))

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(head(net(images).mean(dim=(1, 2))), labels).backward()
        optimizer.step()

    return step


def point(sizes: Sizes, seconds: float) -> dict[str, float]:
    """Measure in this process: seconds of a step, and the bytes that it takes at its peak."""
    import torch

    from bench.registry import Work
    from bench.worker import Session

    torch.set_num_threads(1)
    session = Session()
    session.case = SimpleNamespace(device="cpu")  # type: ignore[assignment]
    session.work = Work(step_of(sizes), lambda _: {})
    session.work.step()  # compiles the kernels, makes the optimizer's state
    return {**session.time(seconds), **session.memory()}


def measure(sizes: Sizes, seconds: float) -> dict[str, float]:
    """Measure in new processes and return the mean of what they found."""
    # Else glibc keeps blocks of up to 32 MiB that are free, in pieces: a peak would count them.
    returning = {"MALLOC_MMAP_THRESHOLD_": str(1 << 16)}
    return {
        "seconds": _measured(sizes, seconds, {})["seconds"],
        "bytes": _measured(sizes, _ONE_STEP, returning)["bytes"],
    }


_ONE_STEP = 1e-9


def _measured(sizes: Sizes, seconds: float, environment: dict[str, str]) -> dict[str, float]:
    command = [sys.executable, __file__, "--point", json.dumps(asdict(sizes))]
    command += ["--seconds", str(seconds)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    processes = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(sizes.processes)
    ]
    found = [json.loads(process.communicate()[0].splitlines()[-1]) for process in processes]
    return {key: float(np.mean([one[key] for one in found])) for key in found[0]}


def slope(sizes: list[int], values: list[float]) -> float:
    """Return the exponent p of value ~ size^p, by least squares on logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw two panels for each size, of time and of memory, on logarithmic axes."""
    from spikeformer import figure_style
    from spikeformer.reporting.svg import save_themed

    figure = figure_style.new_figure(7, 2 * len(result["points"]))
    axes = figure.subplots(len(result["points"]), 2, sharey="col")
    columns = (("seconds", 1e3, "ms per step"), ("bytes", 2**-20, "MiB at its peak"))
    for row, (name, points) in enumerate(result["points"].items()):
        values = [point["size"] for point in points]
        for column, (key, scale, unit) in enumerate(columns):
            measured = [scale * point[key] for point in points]
            panel = axes[row, column]
            panel.loglog(values, measured, "o-", color=figure_style.BLUE)
            proportional = [measured[0] * value / values[0] for value in values]
            panel.loglog(values, proportional, ":", color=figure_style.MUTED)
            panel.set_xticks(values, [str(value) for value in values])
            panel.minorticks_off()
            figure_style.tidy(panel)
            figure_style.title(panel, f"{name}: {unit}")
    save_themed(figure, path)


def page(result: dict[str, Any]) -> str:
    """Return the results as a page of the documentation."""
    machine, base = result["machine"], Sizes(**result["base"])
    tables = []
    for name, rows in result["points"].items():
        values = [row["size"] for row in rows]
        slopes = [slope(values, [row[key] for row in rows]) for key in ("seconds", "bytes")]
        lines = "".join(
            f"| {row['size']} | {1e3 * row['seconds']:.1f} ms | {row['bytes'] / 2**20:.1f} MiB |\n"
            for row in rows
        )
        time, memory = EXPECTED[name]
        tables.append(
            f"## {name.capitalize()}\n\n"
            f"| {name.split(',')[0]} | a step | memory at its peak |\n|---|---|---|\n"
            f"{lines}| **slope** | **{slopes[0]:.2f}** | **{slopes[1]:.2f}** |\n"
            f"| expected | {time} | {memory} |\n"
        )
    return (
        "# Growth\n\n"
        "How the time and the memory of a training step grow with each of its sizes. The step is"
        " forward, backward and\nAdamW of a `SpikingViT` of two blocks with QK-token attention,"
        f" T = {base.timesteps}, {base.tokens} tokens, width {base.width}, batch {base.batch}, with"
        "\nall sizes but one kept. A slope p means growth by size^p; memory is that above what is"
        " held between steps. Dotted:\nproportional to the size.\n\n"
        "What a step keeps of its spikes are bits; the rest are floats, of every timestep. With"
        " `recompute=all` it keeps bits\nalone, 10 of each timestep and channel of a token in a"
        " block, where it kept 11 floats; products bring the currents\nback. What else grows"
        " with T is what one layer has while it runs, whatever the depth. Of each timestep and"
        " channel of\na token that are 12 floats, the currents of the MLP's hidden layer, their"
        " gradients and those of its spikes, and up to\n6 of the residual stream and its"
        " gradient. Batch norm takes sums over all timesteps, so the gradient of a layer"
        " needs\nall of them at once. `recompute=hidden` brings back the currents of hidden"
        " layers alone, for one more product each.\n\n"
        "![Time and memory over each size, on logarithmic axes](growth.svg)\n\n"
        + "\n".join(tables)
        + f"\nMeasured on {machine['cpu']}, {result['date']}, one thread for each process, by"
        f" `python scripts/bench/growth.py`.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="of steps for each point")
    parser.add_argument("--point", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.point:
        print(json.dumps(point(Sizes(**arguments.point), arguments.seconds)))
        return
    base, points = Sizes(), {}
    for name, values in GROWN.items():
        size, *recompute = name.split(", ")
        variant = replace(base, recompute="all" if recompute else "none")
        points[name] = [
            {"size": value, **measure(replace(variant, **{size: value}), arguments.seconds)}
            for value in values
        ]
        print(name, points[name], flush=True)
    result = {**describe(), "base": asdict(base), "points": points}
    PAGE.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    draw(result, PAGE.with_suffix(".svg"))
    PAGE.with_suffix(".md").write_text(page(result), encoding="utf-8")


if __name__ == "__main__":
    main()
