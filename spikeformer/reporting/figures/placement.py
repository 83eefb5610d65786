"""Which neurons lie on which core of a chip."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from spikeformer import figure_style as _style
from spikeformer.error_handling import ArgumentError

MAX_CHIPS = 6
"""Chips that are drawn; further ones would be too small to see."""
_GAP = 0.12


def plot_placement(
    cores: Sequence[Mapping[str, Any]],
    cores_per_chip: int,
    full: float,
) -> Figure:
    """Draw every core as a square that is filled as far as its memory is.

    Cores of one population have one colour and its number, counted from 1 in the order of `cores`;
    neighbours in the network alternate in their colours.

    Args:
        cores: One mapping for each core in use: `chip`, `core`, `population` and `used`, its
            memory in the units of `full`.
        cores_per_chip: Number of cores of a chip.
        full: Memory of a core.

    Raises:
        ArgumentError: If there is no core.

    Example:
        >>> core = {"chip": 0, "core": 3, "population": "stem", "used": 0.5}
        >>> figure = plot_placement([core], cores_per_chip=16, full=1.0)
        >>> len(figure.axes)
        1
    """
    if not cores:
        raise ArgumentError("cores", list(cores), "a list with at least one core")
    populations = list(dict.fromkeys(core["population"] for core in cores))
    chips = sorted({core["chip"] for core in cores})[:MAX_CHIPS]
    columns = math.ceil(math.sqrt(2 * cores_per_chip))
    rows = math.ceil(cores_per_chip / columns)
    across = 1 if len(chips) == 1 else 2
    down = math.ceil(len(chips) / across)
    side = _style.WIDTH / across / columns
    figure = _style.new_figure(_style.WIDTH, down * (rows * side + 0.35))
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes in panels[len(chips) :]:
        axes.set_visible(False)
    for axes, chip in zip(panels, chips, strict=False):
        here = [core for core in cores if core["chip"] == chip]
        text = _style.words("reporting.chip_cores", chip=chip, used=len(here), total=cores_per_chip)
        _style.title(axes, text)
        _draw(axes, here, populations, cores_per_chip, columns, full, side)
        axes.set_xlim(0, columns)
        axes.set_ylim(rows, 0)
        axes.set_aspect("equal")
    return figure


def _draw(
    axes: Axes,
    cores: Sequence[Mapping[str, Any]],
    populations: Sequence[str],
    cores_per_chip: int,
    columns: int,
    full: float,
    side: float,
) -> None:
    _style.bare(axes)
    empty = [_square(core, columns, 1.0) for core in range(cores_per_chip)]
    axes.add_collection(PolyCollection(empty, facecolors=_style.TRACK))
    for colour, parity in ((_style.BLUE, 0), (_style.ORANGE, 1)):
        squares = [
            # A core without synapses is in use too, and shows as a line.
            _square(core["core"], columns, min(max(core["used"] / full, 0.06), 1.0))
            for core in cores
            if populations.index(core["population"]) % 2 == parity
        ]
        axes.add_collection(PolyCollection(squares, facecolors=colour))
    for core in cores:
        row, column = divmod(core["core"], columns)
        filled = core["used"] / full > 0.6
        axes.text(
            column + 0.5, row + 0.55, str(populations.index(core["population"]) + 1), ha="center",
            va="center", fontsize=min(_style.SMALL, 35 * side), clip_on=True,
            color="white" if filled else _style.INK,
        )  # fmt: skip


def _square(core: int, columns: int, height: float) -> list[tuple[float, float]]:
    """Return the corners of a core's square, filled from below up to `height`."""
    row, column = divmod(core, columns)
    left, right = column + _GAP / 2, column + 1 - _GAP / 2
    bottom = row + 1 - _GAP / 2
    top = bottom - height * (1 - _GAP)
    return [(left, bottom), (right, bottom), (right, top), (left, top)]
