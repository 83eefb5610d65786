"""Accuracy against energy: a table and a figure of a sweep over `spike_regularization`.

    python scripts/energy_tradeoff.py SWEEP_FOLDER

The folder is what the command in `docs/concepts/energy.md` leaves. Writes the figure to
`docs/assets/energy-tradeoff.svg` and prints the table.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from spikeformer import figure_style
from spikeformer.profiling import Range
from spikeformer.reporting import load_results
from spikeformer.reporting.svg import save_themed

FIGURE = Path(__file__).parents[1] / "docs" / "assets" / "energy-tradeoff.svg"


@dataclass(frozen=True)
class Point:
    """One run of the sweep."""

    weight: float
    accuracy: float
    firing_rate: float
    energy: Range
    quantised_uj: float
    small_uj: float


def read(folder: Path) -> Point:
    results = load_results(folder)
    assert results.test is not None
    assert results.energy is not None
    config = yaml.safe_load((folder / "config.yaml").read_text())
    metrics, rows = results.test.metrics, results.energy.comparison
    values = {(row.network, row.precision[:3]): row.energy_uj.value for row in rows}
    energy = results.energy.metrics
    return Point(
        weight=config["callbacks"]["spike_regularization"]["weight"],
        accuracy=metrics["accuracy"],
        firing_rate=metrics["firing_rate"],
        energy=Range(
            energy["energy_per_sample_low_uj"],
            energy["energy_per_sample_uj"],
            energy["energy_per_sample_high_uj"],
        ),
        quantised_uj=values["QNN", "int"],
        small_uj=values["SNN", "int"],
    )


def draw(points: list[Point]) -> None:
    figure = figure_style.new_figure()
    axes = figure.add_subplot()
    figure_style.tidy(axes)
    energies = [point.energy.value for point in points]
    axes.plot(energies, [p.accuracy for p in points], "o-", color=figure_style.BLUE, markersize=5)
    for point, energy in zip(points, energies, strict=True):
        axes.annotate(
            f"{point.weight:g}",
            (energy, point.accuracy),
            xytext=(0, -14),
            textcoords="offset points",
            ha="center",
            fontsize=figure_style.SMALL,
            color=figure_style.MUTED,
        )
    figure_style.percent_ticks(axes.yaxis)
    axes.set_xlim(0, 1.06 * max(energies))
    axes.margins(y=0.2)
    axes.set_xlabel(
        "µJ for each sample (estimate)", fontsize=figure_style.SMALL, color=figure_style.MUTED
    )
    figure_style.title(axes, "Test accuracy at each weight of the penalty")
    save_themed(figure, FIGURE)


def table(points: list[Point]) -> str:
    lines = [
        "| weight | test accuracy | firing rate | energy, µJ (bounds) | 8-bit weights | its QNN |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {p.weight:g} | {p.accuracy:.1%} | {p.firing_rate:.1%} "
        f"| {p.energy.value:.0f} ({p.energy.low:.0f} to {p.energy.high:.0f}) "
        f"| {p.small_uj:.1f} | {p.quantised_uj:.1f} |"
        for p in points
    ]
    return "\n".join(lines)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/energy_tradeoff.py SWEEP_FOLDER")
    folders = [path.parent.parent for path in Path(sys.argv[1]).glob("*/results/energy.json")]
    if not folders:
        sys.exit(f"{sys.argv[1]} holds no runs with results/energy.json")
    points = sorted(map(read, folders), key=lambda point: point.weight)
    draw(points)
    print(table(points))


if __name__ == "__main__":
    main()
