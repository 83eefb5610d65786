"""Firing rate per layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikeformer import figure_style as _style
from spikeformer.error_handling import ArgumentError
from spikeformer.reporting import formats

_SILENT, _SATURATED = "v", "^"


def plot_firing_rates(
    rates: Mapping[str, float],
    silent: Mapping[str, float] | None = None,
    saturated: Mapping[str, float] | None = None,
) -> Figure:
    """Draw the firing rate of every layer as a horizontal bar, in the order given.

    Next to the rate, a triangle that points down gives the share of neurons that never fired, one
    that points up the share that always fired.

    Args:
        rates: Mean spikes per neuron and timestep by layer name, in [0, 1] for binary spikes.
        silent: Fraction of silent neurons by layer name; absent layers have none.
        saturated: Fraction of saturated neurons by layer name; absent layers have none.

    Raises:
        ArgumentError: If there is no layer.

    Example:
        >>> figure = plot_firing_rates({"stem": 0.2, "block": 0.1}, silent={"block": 0.05})
        >>> [float(bar.get_width()) for bar in figure.axes[0].containers[-1]]
        [0.2, 0.1]
    """
    if not rates:
        raise ArgumentError("rates", dict(rates), "a mapping with at least one layer")
    silent, saturated = silent or {}, saturated or {}
    names, values = list(rates), list(rates.values())
    marked = any(silent.values()) or any(saturated.values())
    # In inches, so that the bars look alike for two layers and for fifty.
    row, margin, head = 0.42, 0.14, 0.25 if marked else 0.0
    figure = _style.new_figure(_style.WIDTH, row * len(names) + margin + head)
    axes = figure.add_subplot()
    _style.bare(axes)
    full = max([*values, 0.01])
    places = range(len(names))
    axes.barh(places, full, height=0.16, color=_style.TRACK)
    axes.barh(places, values, height=0.16, color=_style.BLUE)
    for place, (name, shown) in enumerate(
        zip(names, formats.without_common_prefix(names), strict=True)
    ):
        _write(axes, place, shown, rates[name], silent.get(name, 0.0), saturated.get(name, 0.0))
    axes.set_xlim(0, full)
    axes.set_ylim(len(names) - 0.6, -0.8)
    if marked:
        _legend(axes, bool(any(silent.values())), bool(any(saturated.values())))
    return figure


def _write(axes: Axes, place: int, name: str, rate: float, silent: float, saturated: float) -> None:
    marks = [f"▽ {formats.percent(silent)}"] if silent > 0 else []
    marks += [f"△ {formats.percent(saturated)}"] if saturated > 0 else []
    texts = [
        (0.0, "left", formats.tail(name, 48 - 8 * len(marks)), _style.INK),
        (1.0, "right", formats.percent(rate), _style.INK),
        (0.87, "right", " ".join(marks), _style.ORANGE),
    ]
    for across, side, text, colour in texts:
        axes.annotate(
            text,
            (across, place - 0.17),
            xycoords=("axes fraction", "data"),
            ha=side,
            va="bottom",
            fontsize=_style.SMALL,
            color=colour,
            parse_math=False,
            in_layout=False,
        )


def _legend(axes: Axes, silent: bool, saturated: bool) -> None:
    look: dict[str, Any] = {
        "linestyle": "",
        "markersize": 4.5,
        "color": _style.ORANGE,
        "fillstyle": "none",
    }
    handles = []
    if silent:
        handles.append(
            Line2D([], [], marker=_SILENT, label=_style.words("reporting.silent_neurons"), **look)
        )
    if saturated:
        handles.append(
            Line2D(
                [], [], marker=_SATURATED, label=_style.words("reporting.saturated_neurons"), **look
            )
        )
    _style.legend(axes, handles).set_in_layout(True)
