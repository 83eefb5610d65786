"""Change the scale of an input tenfold; write docs/benchmarks/adaptive-threshold.{json,md,svg}.

python scripts/bench/adaptive_threshold.py --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import json
import statistics
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from spikeformer import figure_style
from spikeformer.neurons import LifNeuron, LifState
from spikeformer.reporting.svg import save_themed
from spikeformer.research import AdaptiveSpikeThreshold, AdaptiveThresholdNeuron

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "adaptive-threshold"
SCALES = (1.0, 10.0, 1.0, 0.1, 1.0)
STEPS, SETTLED, CHUNK = 1000, 500, 4
TARGET, NEURONS, BATCH = 0.1, 200, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    runs = [measure(seed) for seed in arguments.seeds]
    # The settled part of each span; the trace of the first seed is for the figure.
    result = {
        "command": "python scripts/bench/adaptive_threshold.py --seeds "
        + " ".join(map(str, arguments.seeds)),
        "date": datetime.now(UTC).date().isoformat(),
        "torch": torch.__version__,
        "target": TARGET,
        "scales": SCALES,
        "settled_rates": [
            {name: settled(rates) for name, rates in run["rates"].items()} for run in runs
        ],
    }
    PAGE.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    PAGE.with_suffix(".md").write_text(page(result))
    save_themed(figure(runs[0]), PAGE.with_suffix(".svg"))
    print(PAGE.with_suffix(".md").read_text())


@torch.no_grad()
def measure(seed: int) -> dict[str, Any]:
    """Return the firing rate of each timestep, and the threshold after each chunk of them."""
    generator = torch.Generator().manual_seed(seed)
    threshold = AdaptiveSpikeThreshold(target_rate=TARGET)
    neurons = {
        "LIF": LifNeuron(1.0, tau_mem=2.0, reset="zero"),
        "LIF, adaptive": AdaptiveThresholdNeuron(
            1.0, tau_mem=2.0, reset="zero", target_rate=TARGET
        ),
    }
    names = ("fixed", "adaptive", *neurons)
    rates: dict[str, list[float]] = {name: [] for name in names}
    thresholds: list[float] = []
    states: dict[str, LifState | None] = dict.fromkeys(neurons)
    for scale in SCALES:
        for _ in range(STEPS // CHUNK):
            current = scale * torch.randn(BATCH, CHUNK, NEURONS, generator=generator)
            spikes = {"fixed": (current >= 1).float(), "adaptive": threshold(current)[0]}
            for name, neuron in neurons.items():
                state = states[name] or neuron.initial_state(current)
                spikes[name], states[name] = neuron(current, state)
            for name, fired in spikes.items():
                rates[name] += fired.mean(dim=(0, 2)).tolist()
            thresholds.append(float(threshold.threshold))
    return {"rates": rates, "thresholds": thresholds}


def settled(rates: list[float]) -> list[float]:
    """Return the mean rate of each span of one scale, after its first `SETTLED` timesteps."""
    starts = range(SETTLED, len(rates), STEPS)
    return [statistics.fmean(rates[start : start + STEPS - SETTLED]) for start in starts]


def page(result: dict[str, Any]) -> str:
    """Return the table as a page of the documentation."""
    names = list(result["settled_rates"][0])
    labels = {
        "fixed": "threshold 1 on the potential",
        "adaptive": "`AdaptiveSpikeThreshold`",
        "LIF": "`LifNeuron`",
        "LIF, adaptive": "`AdaptiveThresholdNeuron`",
    }
    rows = []
    for name in names:
        seeds = [run[name] for run in result["settled_rates"]]
        cells = [
            f"{100 * statistics.fmean(values):.1f} ± {100 * statistics.stdev(values):.1f} %"
            for values in zip(*seeds, strict=True)
        ]
        rows.append(f"| {labels[name]} | {' | '.join(cells)} |")
    header = " | ".join(f"x {scale:g}" for scale in result["scales"])
    table = "\n".join(rows)
    target = result["target"]
    return f"""# Adaptive thresholds

Firing rates while the scale of the input changes tenfold and back. The input is Gaussian noise for
{NEURONS} neurons and {BATCH} samples, {STEPS} timesteps for each scale; the target is {target:.0%}
(spikes per neuron and timestep), all other arguments are the defaults. Shown is the mean over the
second half of each span, ± standard deviation over the seeds
([what the thresholds do](../concepts/continual-learning.md#thresholds-that-hold-a-rate)).

| | {header} |
|---|{"---|" * len(result["scales"])}
{table}

![Firing rate and threshold over time](adaptive-threshold.svg)

The first seed. A jump up is corrected in tens of timesteps, since a layer can be off its target by
90 points; a jump down in hundreds, since silence is off by {100 * target:.0f} points alone. The
window's delay lets the rate overshoot before it settles.

Measured on {result["date"]}, torch {result["torch"]}, by `{result["command"]}`; the numbers are in
[adaptive-threshold.json](adaptive-threshold.json).
`python train.py experiment=adaptive_threshold_digits` trains a vision transformer of such neurons.
"""


def figure(run: dict[str, Any]) -> Figure:
    """Draw rates and threshold over time."""
    drawing = figure_style.new_figure(7.0, 4.2)
    upper, lower = drawing.subplots(2, 1, sharex=True)
    for name, colour in (("fixed", figure_style.OTHER), ("adaptive", figure_style.BLUE)):
        rates = torch.tensor(run["rates"][name]).view(-1, 10).mean(1)
        upper.plot(range(0, 10 * len(rates), 10), 100 * rates, color=colour, label=name)
    upper.axhline(100 * TARGET, color=figure_style.MUTED, linewidth=0.8, linestyle=":")
    figure_style.title(upper, "Firing rate, %")
    figure_style.legend(upper)
    steps = range(CHUNK, CHUNK * len(run["thresholds"]) + 1, CHUNK)
    lower.plot(steps, run["thresholds"], color=figure_style.ORANGE)
    lower.set_yscale("log")
    lower.set_xlabel("timestep")
    figure_style.title(lower, "Threshold")
    for axes in (upper, lower):
        figure_style.tidy(axes)
        for index, scale in enumerate(SCALES):
            axes.axvline(index * STEPS, color=figure_style.LINE, linewidth=0.8)
            if axes is upper:
                axes.text(
                    (index + 0.5) * STEPS, 52, f"x {scale:g}", color=figure_style.MUTED, ha="center"
                )
    return drawing


if __name__ == "__main__":
    main()
