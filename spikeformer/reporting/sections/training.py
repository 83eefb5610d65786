"""Training curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spikeformer.i18n import format_number, t
from spikeformer.reporting import formats
from spikeformer.reporting.figures import history_panels, plot_gradients, plot_history
from spikeformer.reporting.sections.section import Content, ReportFigure, register_section
from spikeformer.runs.results import RunResults

if TYPE_CHECKING:
    import pandas as pd

_GRADIENTS = "grad_norm/"
_SPEED = {
    "speed/samples_per_second": "",
    "speed/step_ms": "ms",
    "speed/gpu_memory_mib": "MiB",
    "speed/process_memory_mib": "MiB",
}
"""Columns of the history with their units."""


@register_section("training", title="Training", order=10, source="metrics.csv", stage="fit")
def training(results: RunResults) -> Content | None:
    """Show one curve per metric; the combined figure goes to `figures/history`."""
    history = results.history
    if history is None or not (panels := history_panels(history)):
        return None
    figures: dict[str, ReportFigure] = {}
    for metric, columns in panels.items():
        ends = []
        for column in columns:
            curve = history[column].to_numpy(dtype=float)
            curve = curve[np.isfinite(curve)]
            first, last = (formats.metric_value(metric, curve[index]) for index in (0, -1))
            ends.append(t("reporting.curve_ends", column=column, first=first, last=last))
        alt = t(
            "reporting.curve_alt",
            metric=formats.metric_name(metric),
            epochs=len(history),
            ends="; ".join(ends),
        )
        name = "history-" + "".join(letter if letter.isalnum() else "-" for letter in metric)
        figures[name] = ReportFigure(plot_history(history, [metric]), alt, save=False)
    combined = ReportFigure(plot_history(history), t("reporting.curves"), inline=False)
    values: dict[str, object] = {"curves": list(figures), "speed": _speed(history)}
    figures["history"] = combined
    gradients = {
        str(name).removeprefix(_GRADIENTS): history[name].tolist()
        for name in history
        if str(name).startswith(_GRADIENTS)
    }
    if any(value > 0 for norms in gradients.values() for value in norms):
        epochs = history["epoch"] if "epoch" in history else range(len(history))
        figure = plot_gradients(gradients, list(epochs))
        alt = t("reporting.gradients_alt", layers=len(gradients), epochs=len(history))
        figures["gradients"] = ReportFigure(figure, alt)
        values["prefix_note"] = formats.prefix_note(list(gradients))
    return Content(values, figures)


def _speed(history: pd.DataFrame) -> list[tuple[str, str]]:
    """Return throughput, step time and peak memory, the first epoch's warm-up left out."""
    steady = history.iloc[1:] if len(history) > 1 else history
    rows = []
    for name, unit in _SPEED.items():
        if name in history and steady[name].notna().any():
            value = history[name].max() if "memory" in name else steady[name].median()
            shown = f"{format_number(float(value), ',.0f' if value >= 100 else '.3g')}\u00a0{unit}"
            rows.append((t(f"reporting.{name.replace('/', '_')}"), shown.rstrip()))
    return rows
