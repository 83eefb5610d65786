"""A converted network beside its original."""

from __future__ import annotations

from typing import Any

from spikeformer.profiling.text import energy_text
from spikeformer.reporting import _format, _read
from spikeformer.reporting.figures.conversion import plot_conversion, plot_trade_off
from spikeformer.reporting.results import ResultsError, RunResults
from spikeformer.reporting.sections._section import Content, ReportFigure, register_section

SOURCE = "results/conversion.json"
_ABSENT = "\N{EN DASH}"


@register_section("conversion", title="Conversion", order=15, source=SOURCE, optional=True)
def conversion(results: RunResults) -> Content | None:
    """Show accuracy, agreement and events over timesteps, and what became of every module."""
    path = results.folder / SOURCE
    found = _read.json_object(path)
    if found is None:
        return None
    try:
        return _content(found)
    except (KeyError, TypeError, IndexError) as error:
        raise ResultsError(
            f"Expected {path} to be what the convert stage writes, but it lacks {error}. "
            "Repeat the stage."
        ) from error


def _content(found: dict[str, Any]) -> Content:
    evaluation, report = found["evaluation"], found["report"]
    steps = evaluation["steps"]
    last = steps[-1]
    figures = {
        "conversion": ReportFigure(
            plot_conversion(steps, evaluation["original_accuracy"]),
            f"Accuracy, agreement and events after each of {len(steps)} timesteps.",
        )
    }
    if report["trade_off"]:
        figures["trade_off"] = ReportFigure(
            plot_trade_off(report["trade_off"], report["choice"]),
            "Agreement against modelled energy for several numbers of levels and timesteps.",
        )
    values = {
        "pretrained": found["pretrained"],
        "rows": _rows(evaluation, last),
        "num_samples": evaluation["num_samples"],
        "choice": report["choice"],
        "coding": report["coding"],
        "timesteps": report["timesteps"],
        "modules": [m for m in report["modules"] if m["status"] != "no arithmetic"],
    }
    return Content(values, figures)


def _rows(evaluation: dict[str, Any], last: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return name, original and spiking value of each figure that was measured."""

    def share(value: float | None) -> str:
        return _ABSENT if value is None else _format.percent(value)

    def milliseconds(value: float | None) -> str:
        return _ABSENT if value is None else f"{1e3 * value:.3g}\N{NO-BREAK SPACE}ms"

    def energy(bounds: list[float] | None) -> str:
        if bounds is None:
            return _ABSENT
        low, value, high = map(energy_text, bounds)
        return f"{value} ({low} to {high})"

    rows = [
        ("Accuracy", share(evaluation["original_accuracy"]), share(last["accuracy"])),
        ("Same class as the original", "", share(last["agreement"])),
        ("Relative error of the output", "", f"{last['error']:.2g}"),
        ("Events per neuron and sample", "", f"{last['events_per_neuron']:.3g}"),
        ("Neurons and timesteps without an event", "", share(evaluation["sparsity"])),
        (
            "Energy per sample, estimate for 45 nm with memory",
            energy(evaluation["original_energy_uj"]),
            energy(last["energy_uj"]),
        ),
        (
            "Time per sample, measured on this machine",
            milliseconds(evaluation["original_seconds"]),
            milliseconds(evaluation["seconds"]),
        ),
    ]
    if evaluation["exit_timesteps"] is not None:
        rows.append(("Mean timestep of exit", "", f"{evaluation['exit_timesteps']:.2f}"))
        rows.append(("Accuracy with early exit", "", share(evaluation["exit_accuracy"])))
    return rows
