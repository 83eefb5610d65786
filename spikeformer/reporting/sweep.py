"""The page of a sweep, and its table for a paper."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from markupsafe import Markup

from spikeformer.files import write_text
from spikeformer.i18n import format_number, t
from spikeformer.reporting import formats, svg
from spikeformer.reporting.dashboard import STATUSES
from spikeformer.reporting.figures import Axis, plot_effect, plot_parallel
from spikeformer.reporting.headline import Fact, Headline
from spikeformer.reporting.report import page_environment, write_page
from spikeformer.reporting.sections import ReportFigure
from spikeformer.runs import (
    RunFolder,
    RunSummary,
    Setting,
    Statistic,
    SweepSummary,
    summarize_sweep,
)

_COLUMNS = ("accuracy", "original_accuracy", "agreement", "firing_rate", "energy_per_sample_uj")
"""Results that the tables show besides the objectives."""
_MOST_SETTINGS = 6
"""Settings that the parallel coordinates have room for."""


@dataclass(frozen=True)
class _Part:
    """A part of the page: its anchor and heading."""

    name: str
    shown_title: str


def build_sweep_page(folder: Path | str) -> Path:
    """Write the page of a sweep: its settings over seeds, the best run, what each setting does.

    The same table lies beside it for a paper, in `results.tex` and `results.md`, and the figures in
    `figures/`.

    Args:
        folder: The sweep's folder.

    Returns:
        The path of the page, `report.html`.

    Raises:
        ResultsError: There is no such folder, or none of its runs has a number to compare.
    """
    sweep = summarize_sweep(folder)
    environment = page_environment()
    leading = next(iter(sweep.objectives))
    columns = _columns(sweep)
    effects = _effects(sweep)
    parallel = _parallel(sweep)
    drawn = effects if parallel is None else {**effects, "parallel": parallel}
    inline = {name: svg.inline(each.figure, name, each.alt) for name, each in drawn.items()}
    for name, each in drawn.items():
        svg.save(each.figure, sweep.folder / "figures", name)
    tables = {"results.tex": _latex(sweep, columns), "results.md": _markdown(sweep, columns)}
    for name, text in tables.items():
        write_text(sweep.folder / name, text)
    values = {
        "sweep": sweep,
        "label": formats.result_label(leading),
        "heads": [formats.result_label(column) for column in columns],
        "rows": _rows(sweep, columns),
        "figures": inline,
        "effects": list(effects),
        "status": {each: t(f"reporting.status_{each}") for each in STATUSES},
        "tables": tables,
        "runs": _run_rows(sweep, columns),
        "shorter": _shorter(sweep.runs),
    }
    sections = [
        (part, Markup(environment.get_template(f"sweep/{part.name}.html.j2").render(**values)))
        for part in _parts(sweep, "parallel" in inline)
    ]
    path = RunFolder(sweep.folder).report
    write_page(
        path,
        environment,
        kind=t("reporting.sweep"),
        headline=_headline(sweep, leading),
        sections=sections,
        missing=[],
        has_figures=bool(drawn),
    )
    return path


def _parts(sweep: SweepSummary, parallel: bool) -> list[_Part]:
    parts = [_Part("settings", t("reporting.section_settings"))]
    if sweep.swept:
        parts.append(_Part("effects", t("reporting.section_effects")))
    if parallel:
        parts.append(_Part("parallel", t("reporting.parallel_coordinates")))
    return [
        *parts,
        _Part("runs", t("reporting.runs")),
        _Part("paper", t("reporting.section_paper")),
    ]


def _columns(sweep: SweepSummary) -> list[str]:
    """Return the results that the tables show: the objectives, then what some run has."""
    return [
        *sweep.objectives,
        *(
            column
            for column in _COLUMNS
            if column not in sweep.objectives and any(column in run.numbers for run in sweep.runs)
        ),
    ]


def _headline(sweep: SweepSummary, leading: str) -> Headline:
    best, run = sweep.settings[0], sweep.best_runs[0]
    several = len(best.runs) > 1
    key = "reporting.best_mean" if several else "reporting.best_single"
    score = formats.metric_value(leading, sweep.mean(best, leading))
    reached = formats.metric_value(leading, run.numbers[leading])
    facts = [
        Fact(t("reporting.best_run"), f"{run.path} ({reached})"),
        Fact(t("reporting.settings"), format_number(len(sweep.settings))),
        Fact(t("reporting.finished_runs"), format_number(len(sweep.runs))),
    ]
    label = t(key, label=formats.result_label(leading), seeds=len(best.runs))
    created = min((run.created for run in sweep.runs if run.created), default=None)
    name = sweep.folder.resolve().name
    return Headline(name, (created or "")[:10] or None, None, Fact(label, score), facts, [])


def _rows(sweep: SweepSummary, columns: Sequence[str]) -> list[dict[str, object]]:
    """Return one row of the page's table for each setting."""
    best = sweep.best_settings
    return [
        {
            "values": [formats.setting(setting.values[key]) for key in sweep.swept],
            "seeds": len(setting.runs),
            "interval": _interval(setting.statistic(columns[0]), columns[0]),
            "cells": [
                {"text": _cell(setting, column), "sort": _sort(setting.statistic(column))}
                for column in columns
            ],
            "best": setting in best,
        }
        for setting in sweep.settings
    ]


def _interval(statistic: Statistic | None, column: str) -> str:
    if statistic is None or statistic.low is None or statistic.high is None:
        return ""
    low, high = statistic.low, statistic.high
    if formats.is_fraction(column):
        low, high = max(0.0, low), min(1.0, high)
    shown = (formats.metric_value(column, low), formats.metric_value(column, high))
    return t("reporting.interval", low=shown[0], high=shown[1])


def _cell(setting: Setting, column: str) -> str:
    """Return mean and deviation, and of how many runs if not of all."""
    statistic = setting.statistic(column)
    if statistic is None:
        return ""
    text = formats.mean_and_deviation(column, statistic.mean, statistic.deviation)
    return text if statistic.count == len(setting.runs) else f"{text} (n = {statistic.count})"


def _sort(statistic: Statistic | None) -> float | str:
    return "" if statistic is None else statistic.mean


def _run_rows(sweep: SweepSummary, columns: Sequence[str]) -> list[dict[str, object]]:
    """Return one row for each run that has the objectives, the newest first."""
    best = {run.path for run in sweep.best_runs}
    return [
        {
            "path": run.path,
            "link": _link(run, sweep.folder),
            "seed": run.settings.get("seed", ""),
            "values": [formats.setting(run.settings.get(key)) for key in sweep.swept],
            "cells": [
                {"text": formats.metric_value(column, run.numbers[column])}
                | {"sort": run.numbers[column]}
                if column in run.numbers
                else {"text": "", "sort": ""}
                for column in columns
            ],
            "best": run.path in best,
        }
        for run in sweep.runs
    ]


def _link(run: RunSummary, folder: Path) -> str | None:
    return None if run.report is None else quote(os.path.relpath(run.report, folder))


def _shorter(runs: Sequence[RunSummary]) -> list[str]:
    """Return the runs that trained for fewer epochs than others."""
    most = max((run.numbers.get("epochs", 0) for run in runs), default=0)
    return sorted(run.path for run in runs if run.numbers.get("epochs", most) < most)


def _by_effect(sweep: SweepSummary) -> list[str]:
    """Return the swept keys, those whose means lie furthest apart first."""
    means = {key: [np.mean(each) for each in sweep.effect(key).values()] for key in sweep.swept}
    return sorted(means, key=lambda key: float(min(means[key]) - max(means[key])))


def _effects(sweep: SweepSummary) -> dict[str, ReportFigure]:
    """Return a figure for each setting, those that change the result most first."""
    leading = next(iter(sweep.objectives))
    found = {}
    for key in _by_effect(sweep):
        effect = sweep.effect(key)
        shown = [
            f"{formats.setting(value)}: {formats.metric_value(leading, float(np.mean(scores)))}"
            for value, scores in effect.items()
        ]
        alt = t("reporting.effect_alt", setting=key, means="; ".join(shown))
        figure = plot_effect(key, leading, effect)
        found["effect-" + "".join(x if x.isalnum() else "-" for x in key)] = ReportFigure(
            figure, alt
        )
    return found


def _parallel(sweep: SweepSummary) -> ReportFigure | None:
    """Return the runs as lines over the settings that change most, and the results."""
    keys = _by_effect(sweep)[:_MOST_SETTINGS]
    axes = [
        Axis(formats.short_key(key), [run.settings.get(key) for run in sweep.runs])
        for key in sweep.swept
        if key in keys
    ]
    for column in _columns(sweep):
        values = [run.numbers.get(column) for run in sweep.runs]
        if None not in values and len(set(values)) > 1:
            label = formats.result_label(column)
            axes.append(Axis(label, values, fraction=formats.is_fraction(column)))
    if len(axes) < 2:
        return None
    best = {run.path for run in sweep.best_runs}
    places = [place for place, run in enumerate(sweep.runs) if run.path in best]
    labels = ", ".join(axis.label for axis in axes)
    alt = t("reporting.parallel_alt", runs=len(sweep.runs), axes=labels)
    return ReportFigure(plot_parallel(axes, places), alt)


def _markdown(sweep: SweepSummary, columns: Sequence[str]) -> str:
    heads = [*sweep.swept, t("reporting.seeds"), *map(formats.result_label, columns)]
    lines = [heads, ["---"] * len(sweep.swept) + ["---:"] * (1 + len(columns))]
    lines += [
        [
            *(formats.setting(setting.values[key]) for key in sweep.swept),
            str(len(setting.runs)),
            *(_cell(setting, column) for column in columns),
        ]
        for setting in sweep.settings
    ]
    cells = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def _latex(sweep: SweepSummary, columns: Sequence[str]) -> str:
    """Return a table in the style of the package booktabs."""
    heads = [*sweep.swept, t("reporting.seeds"), *map(formats.result_label, columns)]
    best = sweep.best_settings
    lines = [" & ".join(_tex(head) for head in heads) + r" \\", r"\midrule"]
    for setting in sweep.settings:
        cells = [_tex(formats.setting(setting.values[key])) for key in sweep.swept]
        cells.append(str(len(setting.runs)))
        for column in columns:
            shown = _tex(_cell(setting, column))
            leads = setting in best and column in sweep.objectives
            cells.append(rf"\textbf{{{shown}}}" if leads else shown)
        lines.append(" & ".join(cells) + r" \\")
    kinds = "l" * len(sweep.swept) + "r" * (1 + len(columns))
    return "\n".join(
        [
            f"% {_tex(t('reporting.paper_note'))}",
            rf"\begin{{tabular}}{{{kinds}}}",
            r"\toprule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "µ": r"\textmu{}",
    "\u00a0": "~",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in text)
