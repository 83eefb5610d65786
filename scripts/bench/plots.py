"""One plot per benchmark: a panel for each case, a bar for each contender."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from bench.registry import OURS
from bench.summary import duration_text
from spikeformer import figure_style
from spikeformer.reporting.svg import save_themed


def write(result: dict[str, Any], path: Path) -> Path | None:
    """Plot the cases that were measured; None, and no file, if none was."""
    measured = {
        case["title"]: rows
        for case in result["cases"]
        if (rows := [row for row in case["rows"] if "milliseconds" in row])
    }
    if not measured:
        path.unlink(missing_ok=True)
        return None
    heights = [0.34 * len(rows) + 1.1 for rows in measured.values()]
    figure = figure_style.new_figure(8.0, sum(heights))
    axes = figure.subplots(len(measured), height_ratios=heights, squeeze=False)
    for panel, (name, rows) in zip(axes.flat, measured.items(), strict=True):
        _panel(panel, name, rows)
    save_themed(figure, path)
    return path


def _panel(panel: Axes, name: str, rows: list[dict[str, Any]]) -> None:
    rows = sorted(rows, key=lambda row: -row["milliseconds"]["median"])
    times = [row["milliseconds"] for row in rows]
    medians = [time["median"] for time in times]
    spread = [
        [time["median"] - time["q1"] for time in times],
        [time["q3"] - time["median"] for time in times],
    ]
    colours = [
        figure_style.BLUE if row["contender"] == OURS else figure_style.OTHER for row in rows
    ]
    names = [row["contender"] for row in rows]
    panel.barh(names, medians, xerr=spread, color=colours, ecolor=figure_style.INK)
    for y, (row, time) in enumerate(zip(rows, times, strict=True)):
        text = duration_text(time).partition(" (")[0]
        if "ratio" in row:
            text += f"; {OURS} takes {row['ratio']['median']:.3g}x"
        panel.annotate(
            text,
            (time["q3"], y),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=figure_style.INK,
        )
    figure_style.title(panel, name.replace(": ", "\n", 1), fontsize=9)
    panel.set_xlim(0, 1.6 * max(time["q3"] for time in times))
    figure_style.xlabel(panel, "milliseconds per step, median and quartiles")
    figure_style.tidy(panel, grid=None)
