"""The runs of a sweep: as lines over their settings, and by the values of one setting."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from spikeformer import figure_style as _style
from spikeformer.error_handling import ArgumentError
from spikeformer.i18n import format_number
from spikeformer.reporting import formats

Value = str | int | float | bool | None
_MANY = 8
"""Values above which a setting is taken for a continuous one."""
_WIDE_RANGE = 20
"""Ratio of the largest to the smallest value above which an axis is logarithmic."""


@dataclass(frozen=True)
class Axis:
    """A vertical axis of parallel coordinates.

    Attributes:
        label: Its title.
        values: One for each run: numbers, texts, or None for what is not set.
        fraction: Whether the numbers are fractions, to be shown in percent.
    """

    label: str
    values: Sequence[Value]
    fraction: bool = False


def plot_parallel(axes: Sequence[Axis], best: Collection[int] = ()) -> Figure:
    """Draw each run as a line that crosses an axis for every setting and result.

    Args:
        axes: From left to right, all with the same number of values.
        best: Places of the runs to set apart.

    Raises:
        ArgumentError: There are fewer than two axes, or they differ in their number of values.

    Example:
        >>> axes = [Axis("neuron", ["lif", "plif"]), Axis("accuracy", [0.9, 0.8], fraction=True)]
        >>> [text.get_text() for text in plot_parallel(axes, [0]).axes[0].texts]
        ['lif', 'plif', '80 %', '90 %']
    """
    if len(axes) < 2 or len({len(axis.values) for axis in axes}) != 1:
        raise ArgumentError("axes", [len(a.values) for a in axes], "two or more of equal length")
    figure = _style.new_figure(max(_style.WIDTH, 1.7 * len(axes)), 3.2)
    drawing = figure.add_subplot()
    _style.bare(drawing)
    drawing.set_xlim(-0.15, len(axes) - 0.55)
    drawing.set_ylim(-0.1, 1.1)
    heights = []
    for place, axis in enumerate(axes):
        height, ticks = _scale(axis)
        heights.append(height)
        drawing.plot([place, place], [0, 1], color=_style.LINE, linewidth=1)
        for at, text in ticks:
            label = _style.drawable(formats.shorten, text, 14)
            # Beyond the ends no line crosses them.
            beside, align = {0.0: ((0, -3), "top"), 1.0: ((0, 3), "bottom")}.get(
                at, ((4, 0), "center")
            )
            drawing.annotate(
                label, (place, at), beside, textcoords="offset points", va=align,
                fontsize=_style.SMALL, color=_style.MUTED, parse_math=False, zorder=4,
            )  # fmt: skip
    lines = np.array(heights).T
    for run in sorted(range(len(lines)), key=lambda run: run in best):
        look = (
            {"color": _style.BLUE, "linewidth": 2.2, "zorder": 3}
            if run in best
            else {"color": _style.OTHER, "linewidth": 0.9, "zorder": 2}
        )
        drawing.plot(range(len(axes)), lines[run], **look)  # type: ignore[arg-type]
    drawing.xaxis.tick_top()
    labels = [formats.shorten(axis.label, 24) for axis in axes]
    drawing.set_xticks(range(len(axes)), labels, parse_math=False)
    drawing.tick_params(length=0, labelsize=_style.SMALL, labelcolor=_style.INK)
    return figure


def plot_effect(label: str, result: str, runs: Mapping[Value, Sequence[float]]) -> Figure:
    """Draw a result over the values of one setting: a dot for each run, a line through the means.

    Values of a continuous setting are taken together in quarters of equally many runs.

    Args:
        label: The setting.
        result: Name of the result; a fraction is shown in percent.
        runs: Results of the runs with each value.

    Raises:
        ArgumentError: There is no value.

    Example:
        >>> figure = plot_effect("neuron", "accuracy", {"lif": [0.8, 0.9], "plif": [0.95]})
        >>> [text.get_text() for text in figure.axes[0].get_xticklabels()]
        ['lif', 'plif']
    """
    if not runs:
        raise ArgumentError("runs", runs, "at least one value")
    figure = _style.new_figure(height=2.4)
    axes = figure.add_subplot()
    _style.tidy(axes)
    _style.title(axes, formats.shorten(label, 40))
    continuous = len(runs) > _MANY and all(_is_number(value) for value in runs)
    places = [float(value) if continuous else at for at, value in enumerate(runs)]  # type: ignore[arg-type]
    dots = [(x, y) for x, each in zip(places, runs.values(), strict=True) for y in each]
    axes.plot(*zip(*dots, strict=True), "o", color=_style.OTHER, markersize=4, zorder=2)
    axes.plot(*zip(*_means(dots, continuous), strict=True), "-o", color=_style.BLUE, markersize=5)
    if continuous:
        if min(places) > 0 and max(places) > _WIDE_RANGE * min(places):
            axes.set_xscale("log")
        else:
            _style.plain_ticks(axes.xaxis)
    else:
        axes.set_xticks(
            places, [_style.drawable(formats.setting, value) for value in runs], parse_math=False
        )
        axes.set_xlim(-0.4, len(runs) - 0.6)
    if formats.is_fraction(result):
        _style.percent_ticks(axes.yaxis)
    else:
        _style.plain_ticks(axes.yaxis)
    return figure


def _means(dots: Sequence[tuple[float, float]], continuous: bool) -> list[tuple[float, float]]:
    """Return the mean at each place, or in quarters of equally many dots."""
    ordered = sorted(dots)
    if continuous:
        parts = [part for part in np.array_split(np.array(ordered), 4) if len(part)]
        return [(float(part[:, 0].mean()), float(part[:, 1].mean())) for part in parts]
    return [
        (place, float(np.mean([y for x, y in ordered if x == place])))
        for place in sorted({x for x, _ in ordered})
    ]


def _scale(axis: Axis) -> tuple[list[float], list[tuple[float, str]]]:
    """Return the runs' heights on an axis, in [0, 1], and where its labels stand."""
    values = list(axis.values)
    kinds = list(dict.fromkeys(values))
    if all(_is_number(value) for value in kinds):
        numbers = np.array(values, dtype=float)
        low, high = float(numbers.min()), float(numbers.max())
        wide = low > 0 and high > _WIDE_RANGE * low
        if low == high:
            return [0.5] * len(values), [(0.5, _number(low, axis))]
        scaled = (
            np.log(numbers / low) / math.log(high / low) if wide else (numbers - low) / (high - low)
        )
        shown = sorted({float(each) for each in numbers})
        at = dict(zip(numbers.tolist(), scaled.tolist(), strict=True))
        few = shown if len(shown) <= 5 and not axis.fraction else [low, high]
        return scaled.tolist(), [(at[each], _number(each, axis)) for each in few]
    kinds.sort(key=lambda kind: (kind is None, str(kind)))
    step = 1 / max(1, len(kinds) - 1)
    at_kind = {kind: place * step for place, kind in enumerate(kinds)}
    ticks = [(at_kind[kind], formats.setting(kind)) for kind in kinds]
    return [at_kind[value] for value in values], ticks


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: float, axis: Axis) -> str:
    return (
        formats.percent(value).replace("\u00a0", " ")
        if axis.fraction
        else format_number(value, ".4g")
    )
