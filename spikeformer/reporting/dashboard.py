"""One page that compares runs: accuracy against energy, firing rates, parallel coordinates."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from spikeformer.error_handling import MissingDependencyError
from spikeformer.files import write_text
from spikeformer.reporting import _format
from spikeformer.reporting._templates import template_environment
from spikeformer.reporting.runs import RunSummary, summarize_runs

_LABELS = {
    "accuracy": "Test accuracy",
    "val_accuracy": "Validation accuracy",
    "firing_rate": "Firing rate",
    "energy_uj": "Energy, µJ a sample",
    "parameters": "Parameters",
    "training_seconds": "Training time, s",
    "epochs": "Epochs",
    "original_accuracy": "Accuracy before conversion",
    "agreement": "Agreement with the original",
    "events_per_neuron": "Events per neuron",
}
_BOUNDS = ("energy_low_uj", "energy_high_uj")
_AXES = ("accuracy", "val_accuracy", "firing_rate", "energy_uj")
"""Results that have an axis among the parallel coordinates."""
_PROGRESS = ("val/accuracy", "val/loss", "train/loss")
"""What the curves show: the first of these that a run has."""
_MANY_VALUES = 30
"""Different texts above which a setting tells nothing on an axis."""


def build_dashboard(root: Path | str, page: Path | str | None = None) -> Path:
    """Write one page without outside resources that compares the runs below a folder.

    Brushing a plot, the search field and the table act on the same selection of runs. Runs that
    failed, are running or cannot be read are listed as such; without any run the page says so.

    Args:
        root: A folder of runs, as `outputs`, or one sweep's folder.
        page: The file to write; None for `dashboard.html` in `root`.

    Returns:
        The path of the page.

    Raises:
        ResultsError: There is no such folder.
        MissingDependencyError: plotly is not installed.
    """
    root = Path(root)
    page = root / "dashboard.html" if page is None else Path(page)
    runs = summarize_runs(root)
    readable = [run for run in runs if run.status != "broken"]
    text = (
        template_environment()
        .get_template("dashboard.html.j2")
        .render(
            root=root.resolve().name,
            runs=runs,
            broken=[run for run in runs if run.status == "broken"],
            columns=_columns(readable),
            rows=[_row(run, page) for run in readable],
            data=_plotted(readable),
            plotly=_plotly() if readable else "",
        )
    )
    write_text(page, text)
    return page


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "Expected the package 'plotly' to be installed for the dashboard's plots. "
            'Install it with: python -m pip install --editable ".[dashboard]"'
        ) from error
    return str(get_plotlyjs())


def _columns(runs: Sequence[RunSummary]) -> list[dict[str, Any]]:
    """Return the table's columns, results first, each with its label and kind."""
    found = dict.fromkeys(key for run in runs for key in run.numbers if key not in _BOUNDS)
    ordered = [*(key for key in _LABELS if key in found), *(k for k in found if k not in _LABELS)]
    columns: list[dict[str, Any]] = [
        {"of": "numbers", "key": key, "label": _label(key), "title": key, "numeric": True}
        for key in ordered
    ]
    settings = dict.fromkeys(key for run in runs for key in run.settings)
    columns += [
        {"of": "settings", "key": key, "label": _short(key), "title": key}
        | {"numeric": _numeric(runs, key)}
        for key in settings
    ]
    return columns


def _short(key: str) -> str:
    """Return the end of a dotted key, which says most."""
    return ".".join(key.split(".")[-2:])


def _numeric(runs: Iterable[RunSummary], key: str) -> bool:
    values = [run.settings[key] for run in runs if key in run.settings]
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _label(key: str) -> str:
    name = _format.metric_name(key)
    name = name if name.isupper() else name[:1].lower() + name[1:]
    return _LABELS.get(key, f"Test {name}")


def _row(run: RunSummary, page: Path) -> dict[str, Any]:
    """Return what the table shows of a run."""
    cells: dict[str, dict[str, Any]] = {}
    for key, value in run.settings.items():
        cells[f"settings.{key}"] = {"text": _shown(value), "value": value}
    for key, number in run.numbers.items():
        text = _format.metric_value(key, number) if key != "parameters" else f"{number:,.0f}"
        cells[f"numbers.{key}"] = {"text": text, "value": number}
    low, high = (run.numbers.get(key) for key in _BOUNDS)
    if low is not None and high is not None:
        cells["numbers.energy_uj"]["title"] = f"{low:.3g} to {high:.3g} µJ"
    link = None
    if run.report is not None:
        link = quote(os.path.relpath(run.report.resolve(), page.resolve().parent))
    return {"run": run, "cells": cells, "link": link}


def _shown(value: str | int | float | bool) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _plotted(runs: Sequence[RunSummary]) -> dict[str, Any]:
    """Return what the page's script draws."""
    progress = next((key for key in _PROGRESS if any(key in run.curves for run in runs)), "")
    return {
        "runs": [
            {
                "name": f"{run.name} ({run.path})",
                "group": str(run.settings.get("neuron", run.settings.get("model", "run"))),
                "accuracy": _finite(run.numbers.get("accuracy")),
                "energy": [_finite(run.numbers.get(k)) for k in ("energy_uj", *_BOUNDS)],
                "epoch": run.curves.get("epoch", []),
                "rate": run.curves.get("val/firing_rate", run.curves.get("train/firing_rate", [])),
                "progress": run.curves.get(progress, []),
            }
            for run in runs
        ],
        "progress": "Validation " + _format.metric_name(progress).lower(),
        "parallel": _axes(runs),
    }


def _axes(runs: Sequence[RunSummary]) -> dict[str, Any]:
    """Return the runs that have every common result, and the axes on which they differ."""
    results = [
        # An axis that most runs lack would leave most runs out.
        key
        for key in _AXES
        if 2 * sum(_finite(run.numbers.get(key)) is None for run in runs) <= len(runs)
    ]
    places = [
        place
        for place, run in enumerate(runs)
        if all(_finite(run.numbers.get(key)) is not None for key in results)
    ]
    drawn = [runs[place] for place in places]
    axes = [
        axis
        for key in dict.fromkeys(key for run in drawn for key in run.settings)
        if (axis := _setting_axis(key, [run.settings.get(key) for run in drawn])) is not None
    ]
    for key in results:
        values = [run.numbers[key] for run in drawn]
        if len(set(values)) > 1:
            axes.append({"label": _label(key), "values": values})
    return {"places": places, "axes": axes}


def _setting_axis(key: str, values: Sequence[Any]) -> dict[str, Any] | None:
    """Return an axis with one position for each value, None if the values tell nothing."""
    kinds = set(values)
    label = _short(key)
    if len(kinds) < 2:
        return None
    if all(isinstance(kind, int | float) and not isinstance(kind, bool) for kind in kinds):
        return {"label": label, "values": [float(value) for value in values]}
    if len(kinds) > _MANY_VALUES:
        return None
    order = sorted(kinds, key=lambda kind: (isinstance(kind, str), kind is None, str(kind)))
    names = ["unset" if kind is None else _shown(kind) for kind in order]
    return {"label": label, "values": [order.index(value) for value in values], "names": names}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
