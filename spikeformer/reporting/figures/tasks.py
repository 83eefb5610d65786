"""The accuracy on every task after each task of a sequence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from spikeformer import figure_style as _style
from spikeformer.error_handling import ArgumentError
from spikeformer.i18n import t

_MAX_TASKS_WRITTEN = 12


def plot_tasks(accuracy: Sequence[Sequence[float]], names: Sequence[str]) -> Figure:
    """Draw accuracies, one row after each task of training, one column for each task tested on.

    Args:
        accuracy: In [0, 1], shape (tasks trained, tasks); the first tasks of `names` are trained.
        names: One name for each task.

    Raises:
        ArgumentError: The numbers of names and columns differ, or there are more rows.

    Example:
        >>> figure = plot_tasks([[1.0, 0.5], [0.7, 1.0]], ["0, 1", "2, 3"])
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['100', '50', '70', '100']
    """
    figure = _style.new_figure(_style.WIDTH, 1.2 + 0.5 * len(accuracy))
    draw_tasks(figure.add_subplot(), accuracy, names)
    return figure


def draw_tasks(axes: Axes, accuracy: Sequence[Sequence[float]], names: Sequence[str]) -> None:
    """Draw what `plot_tasks` describes into axes of your own."""
    matrix = np.asarray(accuracy, dtype=float)
    if matrix.ndim != 2 or matrix.shape[1] != len(names) or len(matrix) > len(names):
        raise ArgumentError(
            "accuracy",
            matrix.shape,
            f"accuracies of shape (tasks trained, {len(names)}), as the names say",
        )
    pixels = np.empty((*matrix.shape, 4))
    pixels[..., :3] = to_rgb(_style.BLUE)
    pixels[..., 3] = matrix.clip(0, 1) ** 2
    axes.imshow(pixels, interpolation="none", aspect="auto")
    _style.tidy(axes, grid=None)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks(range(len(names)), names, parse_math=False)
    axes.set_yticks(range(len(matrix)), names[: len(matrix)], parse_math=False)
    axes.set_xlabel(t("reporting.tested_on"), fontsize=_style.SMALL, color=_style.MUTED)
    axes.set_ylabel(t("reporting.after_task"), fontsize=_style.SMALL, color=_style.MUTED)
    if len(names) <= _MAX_TASKS_WRITTEN:
        for (row, column), value in np.ndenumerate(matrix):
            colour = "white" if value > 0.85 else _style.INK
            axes.text(
                column,
                row,
                f"{100 * value:.0f}",
                ha="center",
                va="center",
                fontsize=8.5,
                color=colour,
            )
