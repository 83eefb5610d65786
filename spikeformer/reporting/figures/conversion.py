"""A converted network against its original, over timesteps and over choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikeformer import figure_style as _style
from spikeformer.error_handling import ArgumentError

_SHADES = (_style.BLUE, _style.ORANGE, _style.MUTED, _style.OTHER)
_MARKERS = ("o", "s", "^", "v")


def plot_read_early(
    steps: Sequence[Mapping[str, Any]], original_accuracy: float | None = None
) -> Figure:
    """Draw what reading the output after each timestep gives: classes, or else the error.

    Args:
        steps: One mapping per timestep with `timesteps`, and `accuracy`, `agreement` and `error`,
            each of which may be absent or None.
        original_accuracy: Accuracy of the original, drawn as a line.

    Raises:
        ArgumentError: There is no timestep.

    Example:
        >>> figure = plot_read_early([{"timesteps": 1, "agreement": 0.9}])
        >>> [line.get_label() for line in figure.axes[0].lines]
        ['agreement']
    """
    figure, axes = _over_timesteps(steps)
    if any(step.get("agreement") is not None for step in steps):
        _style.title(axes, _style.words("reporting.read_after"), pad=24)
        _line(axes, steps, "agreement", _style.ORANGE, _style.words("reporting.agreement"), "s")
        _line(axes, steps, "accuracy", _style.BLUE, _style.words("metrics.accuracy"), "o")
        if original_accuracy is not None:
            axes.axhline(
                original_accuracy,
                color=_style.MUTED,
                linewidth=1,
                linestyle=(0, (4, 2)),
                label=_style.words("reporting.accuracy_of_original"),
            )
        _style.percent_ticks(axes.yaxis)
        _style.legend(axes, side="left")
    else:
        _style.title(axes, _style.words("reporting.output_error"))
        _line(axes, steps, "error", _style.BLUE, "error", "o")
        axes.set_yscale("log")
    return figure


def plot_events(steps: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the events of a neuron for a sample so far, after each timestep.

    Args:
        steps: One mapping per timestep with `timesteps` and `events_per_neuron`, which may be None.

    Raises:
        ArgumentError: There is no timestep.

    Example:
        >>> figure = plot_events([{"timesteps": 1, "events_per_neuron": 0.4}])
        >>> figure.axes[0].get_title(loc="left")
        'Events per neuron'
    """
    figure, axes = _over_timesteps(steps)
    _style.title(axes, _style.words("reporting.events_per_neuron"))
    _line(axes, steps, "events_per_neuron", _style.BLUE, "events", "o")
    axes.set_ylim(bottom=0)
    return figure


def _over_timesteps(steps: Sequence[Mapping[str, Any]]) -> tuple[Figure, Axes]:
    if not steps:
        raise ArgumentError("steps", list(steps), "at least one timestep")
    figure = _style.new_figure()
    axes = figure.add_subplot()
    _style.tidy(axes)
    _style.xlabel(axes, _style.words("reporting.axis_timestep"))
    _style.integer_ticks(axes.xaxis)
    return figure, axes


def plot_trade_off(rows: Sequence[Mapping[str, Any]], chosen: Mapping[str, Any]) -> Figure:
    """Draw agreement (or error) against modelled energy, one line per number of levels.

    Args:
        rows: Mappings with `levels`, `timesteps`, `agreement`, `error` and `energy_uj`.
        chosen: The row that was taken; a ring marks it.

    Raises:
        ArgumentError: There is no row.
    """
    if not rows:
        raise ArgumentError("rows", list(rows), "at least one row")
    figure = _style.new_figure(_style.WIDTH * 2, 2.7)
    axes = figure.add_subplot()
    classes = rows[0].get("agreement") is not None
    key = "agreement" if classes else "error"
    _style.tidy(axes)
    _style.title(
        axes, _style.words("reporting.agreement_title" if classes else "reporting.output_error")
    )
    levels = sorted({row["levels"] for row in rows}, reverse=True)
    for index, number in enumerate(levels):
        line = [row for row in rows if row["levels"] == number]
        axes.plot(
            [row["energy_uj"] for row in line],
            [row[key] for row in line],
            marker=_MARKERS[index % len(_MARKERS)],
            color=_SHADES[index % len(_SHADES)],
            markersize=4,
            linewidth=1.2,
            label=_style.words("reporting.levels", count=number),
        )
    axes.plot(
        chosen["energy_uj"], chosen[key], "o", markersize=11, fillstyle="none", color=_style.INK
    )
    _style.legend(axes, columns=len(levels))
    if classes:
        _style.percent_ticks(axes.yaxis)
    else:
        axes.set_yscale("log")
    energy = _style.words("reporting.axis_energy")
    _style.xlabel(axes, energy)
    return figure


def _line(
    axes: Any, steps: Sequence[Mapping[str, Any]], key: str, colour: str, label: str, marker: str
) -> None:
    points = [(s["timesteps"], s[key]) for s in steps if s.get(key) is not None]
    if points:
        axes.plot(
            *zip(*points, strict=True), color=colour, marker=marker, markersize=4, label=label
        )
