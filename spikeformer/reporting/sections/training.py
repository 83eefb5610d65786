"""Training curves."""

from __future__ import annotations

import numpy as np

from spikeformer.i18n import t
from spikeformer.reporting import formats
from spikeformer.reporting.figures import history_panels, plot_history
from spikeformer.reporting.sections.section import Content, ReportFigure, register_section
from spikeformer.runs.results import RunResults


@register_section("training", title="Training", order=10, source="metrics.csv")
def training(results: RunResults) -> Content | None:
    """Show one curve per metric; the combined figure goes to `figures/history`."""
    history = results.history
    if history is None or not (panels := history_panels(history)):
        return None
    figures = {}
    for metric, columns in panels.items():
        ends = []
        for column in columns:
            values = history[column].to_numpy(dtype=float)
            values = values[np.isfinite(values)]
            first, last = (formats.metric_value(metric, values[index]) for index in (0, -1))
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
    return Content({"curves": list(figures)}, {**figures, "history": combined})
