"""Continual learning."""

from __future__ import annotations

from spikeformer.i18n import t
from spikeformer.reporting import formats
from spikeformer.reporting.figures.tasks import plot_tasks
from spikeformer.reporting.sections.section import Content, ReportFigure, register_section
from spikeformer.runs.results import RunResults


@register_section("tasks", title="Tasks", order=25, source="results/tasks.json", optional=True)
def tasks(results: RunResults) -> Content | None:
    """Show the accuracy on every task after each, and what was forgotten."""
    found = results.tasks
    if found is None:
        return None
    matrix, names = found.accuracy, found.tasks
    scores = [
        (label, formats.percent(value))
        for value, label in (
            (found.average_accuracy, t("reporting.average_accuracy")),
            (found.forgetting, t("reporting.forgetting")),
        )
        if value is not None
    ]
    alt = t("reporting.tasks_alt", tasks=len(names), trained=len(matrix))
    return Content({"scores": scores}, {"tasks": ReportFigure(plot_tasks(matrix, names), alt)})
