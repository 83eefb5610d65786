"""Test metrics and the confusion matrix."""

from __future__ import annotations

import math

import numpy as np

from spikeformer.i18n import t
from spikeformer.reporting import formats
from spikeformer.reporting.figures import plot_confusion_matrix, plot_timesteps
from spikeformer.reporting.sections.section import Content, ReportFigure, register_section
from spikeformer.runs.results import RunResults
from spikeformer.runs.results.test import wilson_interval


@register_section("test", title="Test", order=20, source="results/test.json", stage="test")
def test(results: RunResults) -> Content | None:
    """Show the test metrics and, for classifiers, what was taken for what."""
    found = results.test
    if found is None:
        return None
    metrics = [
        (formats.metric_name(name), formats.metric_value(name, value))
        for name, value in found.metrics.items()
    ]
    values: dict[str, object] = {
        "metrics": metrics,
        "num_samples": found.num_samples,
        "classes": [],
    }
    matrix = found.confusion_matrix
    if matrix is None or not len(matrix):
        return Content(values)
    names = found.class_names or [str(index) for index in range(len(matrix))]
    total, right = int(matrix.sum()), int(matrix.trace())
    errors = t("reporting.errors", wrong=total - right, total=total)
    values |= {"classes": _per_class(matrix, names), "errors": errors}
    if "accuracy" in found.metrics and total:
        metrics.append((t("reporting.accuracy_interval"), accuracy_interval(right, total)))
    figure = ReportFigure(
        plot_confusion_matrix(matrix, names), t("reporting.confusion_alt", errors=errors)
    )
    figures = {"confusion_matrix": figure}
    early = found.accuracy_by_timestep
    if early is not None and len(early) > 1:
        shown = ", ".join(formats.percent(value) for value in early)
        alt = t("reporting.accuracy_over_timesteps_alt", values=shown)
        figures["timesteps"] = ReportFigure(plot_timesteps(early), alt)
    return Content(values, figures)


def accuracy_interval(right: int, total: int) -> str:
    """Return Wilson's 95 % interval of a share of right predictions, as text.

    It says how far chance in the choice of test samples reaches; not how seeds differ.

    Example:
        >>> accuracy_interval(355, 360).replace(chr(160), " ")
        '96.8 % to 99.4 %'
    """
    low, high = map(formats.percent, wilson_interval(right, total))
    return t("reporting.interval", low=low, high=high)


def _per_class(matrix: np.ndarray, names: list[str]) -> list[dict[str, object]]:
    rows = []
    for index, name in enumerate(names):
        hits, true = int(matrix[index, index]), int(matrix[index].sum())
        predicted = int(matrix[:, index].sum())
        recall = hits / true if true else math.nan
        precision = hits / predicted if predicted else math.nan
        rows.append({"name": name, "true": true, "recall": recall, "precision": precision})
    return rows
