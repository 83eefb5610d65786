"""Spike rasters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from spikeformer import figure_style as _style
from spikeformer.error_handling import ArgumentError, check_positive_int
from spikeformer.reporting import formats

_PANEL_WIDTH, _PANEL_HEIGHT = 2.2, 1.3  # inches
_REACH = 0.42  # of a timestep to either side, which leaves a gap between two timesteps


def plot_raster(
    spikes: Mapping[str, np.ndarray],
    *,
    max_neurons: int = 64,
    columns: int = 4,
    titles: bool = True,
) -> Figure:
    """Draw one panel per layer: time from left to right, one row per neuron, a bar per spike.

    Args:
        spikes: Arrays of shape (timesteps, neurons) by layer name; everything above 0 is a spike.
        max_neurons: Larger layers show this many neurons at even distances.
        columns: How many panels stand side by side.
        titles: Whether each panel carries the layer's name and its firing rate.

    Raises:
        ArgumentError: If there is no layer, or an array does not have the two axes.

    Example:
        >>> figure = plot_raster({"block": np.array([[1, 0], [0, 1], [1, 1]])})
        >>> len(figure.axes), [float(edge) for edge in figure.axes[0].get_xlim()]
        (1, [0.5, 3.5])
    """
    check_positive_int("max_neurons", max_neurons)
    check_positive_int("columns", columns)
    if not spikes:
        raise ArgumentError("spikes", dict(spikes), "a mapping with at least one layer")
    columns = min(columns, len(spikes))
    rows = -(-len(spikes) // columns)
    figure = _grid(rows, columns, above=0.42 if titles else 0.02)
    shown = formats.without_common_prefix(list(spikes))
    for index, (layer, train) in enumerate(spikes.items()):
        train = np.asarray(train)
        if train.ndim != 2 or train.size == 0:
            raise ArgumentError(f"spikes[{layer!r}]", train.shape, "shaped (timesteps, neurons)")
        axes = figure.add_subplot(rows, columns, index + 1)
        _panel(axes, train > 0, max_neurons)
        if titles:
            rate = formats.percent(float((train > 0).mean()))
            _style.title(axes, f"{formats.tail(shown[index], 34)}\n{rate}", fontsize=7.5, pad=4)
    return figure


def _grid(rows: int, columns: int, above: float) -> Figure:
    """An empty figure with margins in inches; measuring every label would take seconds."""
    aside, below = 0.05, 0.28
    width, height = _PANEL_WIDTH + 2 * aside, _PANEL_HEIGHT + above + below
    figure = Figure(figsize=(width * columns, height * rows), facecolor="white")
    figure.subplots_adjust(
        left=aside / (width * columns),
        right=1 - aside / (width * columns),
        bottom=below / (height * rows),
        top=1 - above / (height * rows),
        wspace=2 * aside / _PANEL_WIDTH,
        hspace=(above + below) / _PANEL_HEIGHT,
    )
    return figure


def _panel(axes: Axes, train: np.ndarray, max_neurons: int) -> None:
    timesteps, neurons = train.shape
    if neurons > max_neurons:
        chosen = np.linspace(0, neurons - 1, max_neurons).round().astype(int)
        train = train[:, chosen]
    _style.tidy(axes, grid=None)
    axes.spines["bottom"].set_visible(False)
    axes.set_facecolor(_style.PANEL)
    thickness = min(0.7 * 72 * _PANEL_HEIGHT / train.shape[1], 6.0)
    look = {"edgecolor": _style.BLUE, "linewidth": thickness, "capstyle": "butt", "snap": False}
    axes.add_patch(PathPatch(_marks(train), fill=False, **look))
    axes.set_xlim(0.5, timesteps + 0.5)
    axes.set_ylim(train.shape[1] - 0.5, -0.5)
    axes.set_yticks([])
    _style.integer_ticks(axes.xaxis)


def _marks(train: np.ndarray) -> Path:
    """One path for all spikes; thousands of separate shapes would make a heavy page."""
    time, neuron = np.nonzero(train)
    centres = np.stack([time + 1.0, neuron], axis=1)
    ends = centres[:, None, :] + np.array([(-_REACH, 0.0), (_REACH, 0.0)])
    return Path(ends.reshape(-1, 2), [Path.MOVETO, Path.LINETO] * len(time))
