"""One plot per benchmark: a panel for each case, a bar for each contender."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
mpl.rcParams["svg.hashsalt"] = "spikeformer"  # the same numbers give the same file
mpl.rcParams["svg.fonttype"] = "none"

from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

from bench.registry import OURS  # noqa: E402
from bench.summary import duration_text  # noqa: E402

_OURS, _OTHERS, _INK = "#d1495b", "#9aa5b1", "#30343b"


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
    heights = [0.34 * len(rows) + 0.9 for rows in measured.values()]
    figure, axes = plt.subplots(
        len(measured),
        figsize=(8.0, sum(heights)),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for panel, (name, rows) in zip(axes.flat, measured.items(), strict=True):
        _panel(panel, name, rows)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path


def _panel(panel: Axes, name: str, rows: list[dict[str, Any]]) -> None:
    rows = sorted(rows, key=lambda row: -row["milliseconds"]["median"])
    times = [row["milliseconds"] for row in rows]
    medians = [time["median"] for time in times]
    spread = [
        [time["median"] - time["q1"] for time in times],
        [time["q3"] - time["median"] for time in times],
    ]
    colours = [_OURS if row["contender"] == OURS else _OTHERS for row in rows]
    panel.barh([row["contender"] for row in rows], medians, xerr=spread, color=colours, ecolor=_INK)
    for y, (row, time) in enumerate(zip(rows, times, strict=True)):
        text = duration_text(time).partition(" (")[0]
        if "ratio" in row:
            text += f"   {OURS} takes {row['ratio']['median']:.3g}x"
        panel.annotate(
            text,
            (time["q3"], y),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=_INK,
        )
    panel.set_title(name, loc="left", fontsize=9, color=_INK)
    panel.set_xlim(0, 1.6 * max(time["q3"] for time in times))
    panel.set_xlabel("milliseconds per step, median and quartiles", fontsize=8, color=_INK)
    panel.tick_params(labelsize=8, colors=_INK)
    panel.spines[["top", "right"]].set_visible(False)
