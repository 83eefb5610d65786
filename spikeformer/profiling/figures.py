"""Figures of energy, each a pure function from data to a matplotlib `Figure`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from spikeformer import figure_style as _style
from spikeformer.error_handling import ArgumentError
from spikeformer.profiling.pricing.break_even import BreakEven
from spikeformer.profiling.pricing.comparison import ComparisonRow
from spikeformer.profiling.pricing.costs import Range, energy_text

_PURPOSES = {
    "compute": _style.BLUE,
    "memory": _style.OTHER,
    "addressing": _style.ORANGE,
}


def plot_layer_energy(layers: Mapping[str, Range]) -> Figure:
    """Draw the energy of every layer as a horizontal bar with its bounds, in the order given.

    Args:
        layers: Energy of one sample in µJ by layer name.

    Raises:
        ArgumentError: There is no layer.

    Example:
        >>> figure = plot_layer_energy({"stem": Range(1.0, 2.0, 3.0)})
        >>> figure.axes[0].texts[0].get_text()
        'stem'
    """
    if not layers:
        raise ArgumentError("layers", dict(layers), "a mapping with at least one layer")
    row, margin = 0.42, 0.14
    figure = _style.new_figure(_style.WIDTH, row * len(layers) + margin)
    axes = figure.add_subplot()
    _style.bare(axes)
    full = max([*(energy.high for energy in layers.values()), 1e-12])
    places = range(len(layers))
    axes.barh(places, full, height=0.16, color=_style.TRACK)
    axes.barh(places, [x.high for x in layers.values()], height=0.16, color=_style.LINE)
    axes.barh(places, [x.value for x in layers.values()], height=0.16, color=_style.BLUE)
    axes.scatter([x.low for x in layers.values()], places, s=14, marker="|", color=_style.INK)
    for place, (name, energy) in enumerate(layers.items()):
        for across, side, text in (
            (0.0, "left", name),
            (1.0, "right", energy_text(energy.value)),
        ):
            axes.annotate(
                text,
                (across, place - 0.17),
                xycoords=("axes fraction", "data"),
                ha=side,
                va="bottom",
                fontsize=_style.SMALL,
                color=_style.INK,
                parse_math=False,
                in_layout=False,
            )
    axes.set_xlim(0, full)
    axes.set_ylim(len(layers) - 0.6, -0.8)
    return figure


def plot_comparison(rows: Sequence[ComparisonRow]) -> Figure:
    """Draw networks side by side as bars, stacked by purpose, with the bounds of their sums.

    Args:
        rows: The rows of a `ComparisonReport`.

    Raises:
        ArgumentError: There is no row.
    """
    if not rows:
        raise ArgumentError("rows", list(rows), "at least one row")
    figure = _style.new_figure(_style.WIDTH, 0.55 * len(rows) + 0.9)
    axes = figure.add_subplot()
    _style.tidy(axes, grid="x")
    places = list(range(len(rows)))
    left = [0.0] * len(rows)
    for purpose, colour in _PURPOSES.items():
        widths = [row.breakdown[purpose].value for row in rows]
        axes.barh(
            places,
            widths,
            left=left,
            height=0.45,
            color=colour,
            label=_style.words(f"profiling.purpose_{purpose}"),
        )
        left = [a + b for a, b in zip(left, widths, strict=True)]
    bounds = [
        [row.energy_uj.value - row.energy_uj.low for row in rows],
        [row.energy_uj.high - row.energy_uj.value for row in rows],
    ]
    look: dict[str, Any] = {"fmt": "none", "ecolor": _style.INK, "elinewidth": 1.0, "capsize": 2.5}
    for cap in axes.errorbar(left, places, xerr=bounds, **look)[1]:
        cap.set_markerfacecolor(_style.INK)
    axes.set_yticks(places, [f"{row.network} {row.precision}" for row in rows], parse_math=False)
    axes.tick_params(axis="y", labelcolor=_style.INK)
    axes.invert_yaxis()
    _style.xlabel(axes, _style.words("profiling.axis_energy"))
    axes.set_xlim(0)
    _style.title(axes, " ")
    _style.legend(axes, side="left")
    return figure


def plot_break_even(found: Sequence[BreakEven]) -> Figure:
    """Draw a network's energy over its firing rate on each technology, beside its quantised ANN.

    A line for each technology, a dot at today's rate; the ANN is a level with its bounds.

    Args:
        found: What `break_even` returned.

    Raises:
        ArgumentError: There is none.
    """
    if not found:
        raise ArgumentError("found", list(found), "at least one comparison")
    figure = _style.new_figure(_style.WIDTH, 3.4)
    axes = figure.add_subplot()
    _style.tidy(axes)
    rates = np.geomspace(min(0.001, found[0].rate / 2), 1.0, 100)
    baseline = found[0].baseline
    axes.axhspan(baseline.low, baseline.high, color=_style.TRACK, linewidth=0)
    axes.axhline(baseline.value, color=_style.INK, linewidth=1.0, linestyle="--")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.minorticks_off()
    lows, highs = [baseline.low], [baseline.high]
    same: dict[tuple[float, float], list[BreakEven]] = {}
    for each in found:
        same.setdefault((each.silent.value, each.energy.value), []).append(each)
    colours = (_style.BLUE, _style.ORANGE, _style.MUTED)
    for index, group in enumerate(same.values()):
        each, colour = group[0], colours[index % len(colours)]
        energies = [each.energy_at(rate) for rate in rates]
        axes.plot(rates, energies, color=colour, linewidth=1.4)
        axes.plot(each.rate, each.energy.value, "o", color=colour, markersize=4)
        _label(axes, rates[0], energies[0], ", ".join(x.technology for x in group), colour)
        lows.append(min(energies))
        highs.append(max(energies))
    axes.set_ylim(max(min(lows), max(highs) * 1e-9) / 2, max(highs) * 2)
    axes.axvline(found[0].rate, color=_style.LINE, linewidth=1.0)
    _style.percent_ticks(axes.xaxis)
    axes.yaxis.set_major_formatter(lambda value, _: energy_text(value))
    ann = _style.words("profiling.its_ann_in_bits", bits=found[0].bits)
    _label(axes, 1.0, baseline.value, ann, _style.INK, side="right")
    _style.xlabel(axes, _style.words("profiling.axis_rate"))
    return figure


def _label(axes: Any, x: float, y: float, text: str, colour: str, side: str = "left") -> None:
    """Name a line above one of its ends."""
    axes.annotate(
        text,
        (x, y),
        (0, 2),
        textcoords="offset points",
        ha=side,
        va="bottom",
        fontsize=_style.SMALL,
        color=colour,
        parse_math=False,
    )


def plot_power_timeline(
    seconds: npt.ArrayLike, watts: npt.ArrayLike, label: str, average_watts: float
) -> Figure:
    """Draw power over time.

    Args:
        seconds: Ends of the intervals.
        watts: Mean power in each.
        label: What the power is of, and whether it was measured.
        average_watts: Drawn as a line.
    """
    figure = _style.new_figure()
    axes = figure.add_subplot()
    _style.tidy(axes)
    axes.plot(seconds, watts, color=_style.BLUE, linewidth=1.0, drawstyle="steps-pre")
    axes.axhline(average_watts, color=_style.ORANGE, linewidth=1.0, linestyle="--")
    axes.set_ylim(0)
    _style.xlabel(axes, "s")
    _style.ylabel(axes, "W")
    _style.title(axes, _style.words("profiling.power", label=label, watts=average_watts))
    return figure
