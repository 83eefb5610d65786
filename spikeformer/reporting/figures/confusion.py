"""Confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from spikeformer import figure_style as _style
from spikeformer.error_handling import ArgumentError
from spikeformer.reporting import formats

_MAX_COUNTS_SHOWN = 20
_MAX_NAMES_SHOWN = 30
_FAINTEST = 0.3


def plot_confusion_matrix(
    matrix: np.ndarray | Sequence[Sequence[int]], class_names: Sequence[str] | None = None
) -> Figure:
    """Draw how often each true class (row) was taken for each class (column).

    Right predictions are blue, errors vermilion; the opacity is the square root of the share of the
    row and at least 0.3, so that a single error in a large class stays visible. The background
    shines through, and the figure reads on a dark page too. Counts are written into matrices of up
    to 20 classes.

    Args:
        matrix: Counts, shape (classes, classes), rows are the true classes.
        class_names: One name per class; indices by default.

    Raises:
        ArgumentError: If the matrix is not square or the names do not match it.

    Example:
        >>> figure = plot_confusion_matrix([[9, 1], [0, 10]], ["cat", "dog"])
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['9', '1', '10']
    """
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.size == 0:
        raise ArgumentError("matrix", counts.shape, "a square matrix of counts")
    size = len(counts)
    names = [str(index) for index in range(size)] if class_names is None else list(class_names)
    if len(names) != size:
        raise ArgumentError("class_names", names, f"{size} names, one per row of the matrix")

    figure = _style.new_figure(_style.WIDTH, _style.WIDTH)
    axes = figure.add_subplot()
    opacity = np.sqrt(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))
    opacity[counts > 0] = np.maximum(opacity[counts > 0], _FAINTEST)
    axes.imshow(_colours(opacity), interpolation="none", aspect="equal")
    _style.tidy(axes, grid=None)
    axes.spines["bottom"].set_visible(False)
    _name_classes(axes, names)
    if size <= _MAX_COUNTS_SHOWN:
        _write_counts(axes, counts, opacity)
        _separate_cells(axes, size)
    _style.xlabel(axes, _style.words("reporting.axis_predicted"))
    _style.ylabel(axes, _style.words("reporting.axis_true"))
    return figure


def _colours(opacity: np.ndarray) -> np.ndarray:
    size = len(opacity)
    pixels = np.empty((size, size, 4))
    pixels[..., :3] = to_rgb(_style.ORANGE)
    pixels[np.eye(size, dtype=bool), :3] = to_rgb(_style.BLUE)
    pixels[..., 3] = opacity
    return pixels


def _name_classes(axes: Axes, names: Sequence[str]) -> None:
    step = -(-len(names) // _MAX_NAMES_SHOWN)
    places = range(0, len(names), step)
    shown = [formats.shorten(names[place], 14) for place in places]
    longest = max(map(len, shown))
    size = _style.SMALL if len(shown) <= 12 else 6.5
    upright = longest * len(shown) > 44
    axes.set_yticks(places, shown, fontsize=size, parse_math=False)
    axes.set_xticks(places, shown, fontsize=size, parse_math=False, rotation=90 if upright else 0)


def _write_counts(axes: Axes, counts: np.ndarray, opacity: np.ndarray) -> None:
    size = 8.5 if len(counts) <= 12 else 6
    for row, column in zip(*np.nonzero(counts), strict=True):
        axes.text(
            column,
            row,
            f"{counts[row, column]:d}",
            ha="center",
            va="center",
            fontsize=size,
            # White is readable on a full cell in every theme; ink follows the theme elsewhere.
            color="white" if opacity[row, column] > 0.8 else _style.INK,
        )


def _separate_cells(axes: Axes, size: int) -> None:
    edges = np.arange(-0.5, size)
    axes.hlines(edges, -0.5, size - 0.5, color=_style.LINE, linewidth=0.6)
    axes.vlines(edges, -0.5, size - 0.5, color=_style.LINE, linewidth=0.6)
