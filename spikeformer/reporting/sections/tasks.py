"""Continual learning."""

from __future__ import annotations

from typing import Any

from spikeformer.i18n import t
from spikeformer.reporting import formats, read
from spikeformer.reporting.figures.tasks import plot_tasks
from spikeformer.reporting.results import RunResults
from spikeformer.reporting.sections.section import Content, ReportFigure, register_section

SOURCE = "results/tasks.json"


@register_section("tasks", title="Tasks", order=25, source=SOURCE, optional=True)
def tasks(results: RunResults) -> Content | None:
    """Show the accuracy on every task after each, and what was forgotten."""
    path = results.folder / SOURCE
    found = read.json_object(path)
    if found is None:
        return None
    try:
        return _content(found)
    except (KeyError, TypeError, ValueError) as error:
        raise read.broken(path, t("reporting.task_accuracies"), repr(error)) from error


def _content(found: dict[str, Any]) -> Content:
    matrix, names = found["accuracy"], found["tasks"]
    scores = [
        (label, formats.percent(found[key]))
        for key, label in (
            ("average_accuracy", t("reporting.average_accuracy")),
            ("forgetting", t("reporting.forgetting")),
        )
        if found[key] is not None
    ]
    alt = t("reporting.tasks_alt", tasks=len(names), trained=len(matrix))
    return Content({"scores": scores}, {"tasks": ReportFigure(plot_tasks(matrix, names), alt)})
