"""How good the output is when it is read early."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from spikeformer import figure_style as _style
from spikeformer.error_handling import ArgumentError


def plot_timesteps(accuracy: Sequence[float]) -> Figure:
    """Draw the accuracy of the output averaged over the first 1, 2, ... timesteps.

    Args:
        accuracy: In [0, 1], one for each timestep.

    Raises:
        ArgumentError: There is none.

    Example:
        >>> plot_timesteps([0.5, 0.75]).axes[0].lines[0].get_ydata().tolist()
        [0.5, 0.75]
    """
    if not accuracy:
        raise ArgumentError("accuracy", list(accuracy), "at least one timestep")
    figure = _style.new_figure(height=2.4)
    axes = figure.add_subplot()
    _style.tidy(axes)
    _style.title(axes, _style.words("reporting.accuracy_over_timesteps"))
    steps = range(1, len(accuracy) + 1)
    axes.plot(steps, accuracy, "-o", color=_style.BLUE, markersize=4, linewidth=1.8)
    _style.percent_ticks(axes.yaxis)
    _style.integer_ticks(axes.xaxis)
    _style.xlabel(axes, _style.words("reporting.axis_timestep"))
    return figure
