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
from spikeformer.i18n import format_number, get_locale, t, text_direction
from spikeformer.reporting import formats
from spikeformer.reporting.report import template_environment
from spikeformer.runs.summary import RunSummary, summarize_runs

_ENERGY = "energy_per_sample_uj"
_BOUNDS = ("energy_per_sample_low_uj", "energy_per_sample_high_uj")
_AXES = ("accuracy", "val/accuracy", "firing_rate", _ENERGY)
"""Results that have an axis among the parallel coordinates."""
_PROGRESS = ("val/accuracy", "val/loss", "train/loss")
"""What the curves show: the first of these that a run has."""
STATUSES = ("done", "running", "failed", "broken")
"""What `RunSummary.status` may be."""
_FEW_VALUES = 6
"""Different numbers up to which each has a tick on its axis."""
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
            locale=get_locale(),
            direction=text_direction(),
            status={name: t(f"reporting.status_{name}") for name in STATUSES},
            t=t,
            markup=formats.markup,
        )
    )
    write_text(page, text)
    return page


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        raise MissingDependencyError(t("reporting.needs_plotly")) from error
    return str(get_plotlyjs())


def _columns(runs: Sequence[RunSummary]) -> list[dict[str, Any]]:
    """Return the table's columns, results first, each with its label and kind."""
    found = dict.fromkeys(key for run in runs for key in run.numbers if key not in _BOUNDS)
    known = [key for key in formats.RESULTS if key in found]
    ordered = [*known, *(key for key in found if key not in known)]
    columns: list[dict[str, Any]] = [
        {"of": "numbers", "key": key, "label": formats.result_label(key), "title": key}
        | {"numeric": True}
        for key in ordered
    ]
    settings = dict.fromkeys(key for run in runs for key in run.settings)
    columns += [
        {"of": "settings", "key": key, "label": formats.short_key(key), "title": key}
        | {"numeric": _numeric(runs, key)}
        for key in settings
    ]
    return columns


def _numeric(runs: Iterable[RunSummary], key: str) -> bool:
    values = [run.settings[key] for run in runs if key in run.settings]
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _row(run: RunSummary, page: Path) -> dict[str, Any]:
    """Return what the table shows of a run."""
    cells: dict[str, dict[str, Any]] = {}
    for key, value in run.settings.items():
        cells[f"settings.{key}"] = {"text": formats.setting(value), "value": value}
    for key, number in run.numbers.items():
        is_count = key == "num_parameters"
        text = format_number(number, ",.0f") if is_count else formats.metric_value(key, number)
        cells[f"numbers.{key}"] = {"text": text, "value": number}
    low, high = (run.numbers.get(key) for key in _BOUNDS)
    if low is not None and high is not None:
        bounds = {"low": format_number(low, ".3g"), "high": format_number(high, ".3g")}
        cells[f"numbers.{_ENERGY}"]["title"] = f"{t('reporting.range', **bounds)} µJ"
    link = None
    if run.report is not None:
        link = quote(os.path.relpath(run.report.resolve(), page.resolve().parent))
    return {"run": run, "cells": cells, "link": link}


def _plotted(runs: Sequence[RunSummary]) -> dict[str, Any]:
    """Return what the page's script draws."""
    progress = next((key for key in _PROGRESS if any(key in run.curves for run in runs)), "")
    total = len(runs)
    return {
        "texts": {
            # The page's script fills in what it counts.
            "shown": t("reporting.shown_runs", shown="{shown}", count=total),
            "drag_runs": t("reporting.drag_runs"),
            "without_energy": t("reporting.without_energy", left="{left}", count=total),
            "no_energy": t("reporting.no_energy"),
            "energy_bounds": t("reporting.energy_bounds"),
            "at": t("reporting.accuracy_at_energy", accuracy="%{y:.1%}", energy="%{x:.3~g} µJ"),
            "accuracy": formats.result_label("accuracy"),
            "rate": formats.result_label("firing_rate"),
            "epoch": t("reporting.axis_epoch"),
            "each_line": t("reporting.each_line"),
            "no_history": t("reporting.no_history"),
            "drag_axis": t("reporting.drag_axis"),
            "without_result": t("reporting.without_result", left="{left}", count=total),
            "nothing_to_compare": t("reporting.nothing_to_compare"),
        },
        "runs": [
            {
                "name": f"{run.name} ({run.path})",
                "group": str(run.settings.get("neuron", run.settings.get("model", "run"))),
                "accuracy": _finite(run.numbers.get("accuracy")),
                "energy": [_finite(run.numbers.get(k)) for k in (_ENERGY, *_BOUNDS)],
                "epoch": run.curves.get("epoch", []),
                "rate": run.curves.get("val/firing_rate", run.curves.get("train/firing_rate", [])),
                "progress": run.curves.get(progress, []),
            }
            for run in runs
        ],
        "progress": _progress(progress),
        "parallel": _axes(runs),
    }


def _progress(key: str) -> dict[str, Any]:
    """Return the title and the number format of the curves of one metric."""
    split = key.partition("/")[0] or "val"
    title = t(f"reporting.label_{split}", metric=formats.metric_in_label(key))
    share = formats.is_fraction(key)
    return {"title": title, "format": ".1~%" if share else ".3~g", "share": share}


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
            share = formats.is_fraction(key)
            axes.append({"label": formats.result_label(key), "values": values, "share": share})
    return {"places": places, "axes": axes}


def _setting_axis(key: str, values: Sequence[Any]) -> dict[str, Any] | None:
    """Return an axis with one position for each value, None if the values tell nothing."""
    kinds = set(values)
    label = formats.short_key(key)
    if len(kinds) < 2:
        return None
    if all(isinstance(kind, int | float) and not isinstance(kind, bool) for kind in kinds):
        ticks = sorted(float(kind) for kind in kinds) if len(kinds) <= _FEW_VALUES else None
        return {"label": label, "values": [float(value) for value in values], "ticks": ticks}
    if len(kinds) > _MANY_VALUES:
        return None
    order = sorted(kinds, key=lambda kind: (isinstance(kind, str), kind is None, str(kind)))
    names = [formats.setting(kind) for kind in order]
    return {"label": label, "values": [order.index(value) for value in values], "names": names}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
