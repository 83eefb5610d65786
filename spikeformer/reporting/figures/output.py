"""The network's output over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikeformer import figure_style as _style
from spikeformer.error_handling import ArgumentError
from spikeformer.reporting import formats

_MAX_OTHERS = 20


def plot_output(
    output: np.ndarray,
    class_names: Sequence[str] | None = None,
    *,
    target: int | None = None,
    winner: bool = True,
    running_mean: bool = False,
) -> Figure:
    """Draw the evidence for each class at every timestep.

    The class that wins on the time average is blue, the true class (where it is another one)
    vermilion and dashed, all others grey.

    Args:
        output: Network output of one sample, shape (timesteps, classes).
        class_names: One name per class; indices by default.
        target: Index of the true class, if there is one.
        winner: Whether the largest average is the prediction, as in classification; without it the
            outputs are values of equal rank.
        running_mean: Draw the average over the timesteps so far, which shows when the prediction
            settles: `m[t] = (o[1] + ... + o[t]) / t`.

    Raises:
        ArgumentError: If the output does not have the two axes or the names do not match.

    Example:
        >>> figure = plot_output(np.array([[0.0, 1.0], [2.0, 1.0]]), running_mean=True)
        >>> sorted(line.get_ydata().tolist() for line in figure.axes[0].lines)
        [[0.0, 1.0], [1.0, 1.0]]
    """
    values = np.asarray(output, dtype=np.float64)
    if values.ndim != 2 or values.size == 0:
        raise ArgumentError("output", values.shape, "shaped (timesteps, classes)")
    timesteps, classes = values.shape
    names = [str(index) for index in range(classes)] if class_names is None else list(class_names)
    if len(names) != classes:
        raise ArgumentError("class_names", names, f"{classes} names, one per column of the output")
    steps = np.arange(1, timesteps + 1)
    average = values.mean(axis=0)
    if running_mean:
        values = values.cumsum(axis=0) / steps[:, None]

    figure = _style.new_figure()
    axes = figure.add_subplot()
    _style.tidy(axes)
    marker = "o" if timesteps <= 16 else None
    if winner:
        _draw_classes(axes, steps, values, average, names, target, marker)
    else:
        axes.plot(steps, values, color=_style.BLUE, marker=marker, ms=4)
    _finish(axes, timesteps, running_mean)
    return figure


def _draw_classes(
    axes: Axes,
    steps: np.ndarray,
    values: np.ndarray,
    average: np.ndarray,
    names: list[str],
    target: int | None,
    marker: str | None,
) -> None:
    best = int(average.argmax())
    others = [index for index in np.argsort(-average) if index not in (best, target)]
    for rank, index in enumerate(others[:_MAX_OTHERS]):
        # One entry of the legend stands for all of them; an underscore keeps the rest out.
        label = "_" if rank else _style.words("reporting.others")
        axes.plot(steps, values[:, index], color=_style.OTHER, linewidth=0.9, zorder=1, label=label)
    if target is not None and target != best:
        label = _style.words("reporting.true_class", name=formats.shorten(names[target], 11))
        axes.plot(
            steps, values[:, target], "--", color=_style.ORANGE, marker=marker, label=label, ms=4
        )
    label = _style.words("reporting.predicted_class", name=formats.shorten(names[best], 11))
    axes.plot(steps, values[:, best], color=_style.BLUE, marker=marker, label=label, ms=4, zorder=3)


def _finish(axes: Axes, timesteps: int, running_mean: bool) -> None:
    # The names of two classes need a line of their own below the title.
    named = bool(axes.get_legend_handles_labels()[1])
    text = _style.words(
        "reporting.average_so_far" if running_mean else "reporting.at_each_timestep"
    )
    _style.title(axes, text, pad=22 if named else 8)
    if named:
        _style.legend(axes, side="left")
    _style.integer_ticks(axes.xaxis)
    _style.plain_ticks(axes.yaxis)
    _style.xlabel(axes, _style.words("reporting.axis_timestep"))
    axes.set_xlim(0.8, timesteps + 0.2)
