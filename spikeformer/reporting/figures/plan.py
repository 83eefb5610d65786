"""How many chips each layer of a planned network takes, and what it sends to others."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from spikeformer import figure_style as _style
from spikeformer.error_handling import ArgumentError


def plot_plan(chips: Sequence[float], crossing: Sequence[float]) -> Figure:
    """Draw a bar for each layer, of its chips above and of its packets to other chips below.

    Args:
        chips: Chips of each layer, in network order; a part of one for a layer on some cores.
        crossing: Packets that each layer sends to other chips in a timestep.

    Raises:
        ArgumentError: There is no layer, or the two are not of the same length.

    Example:
        >>> figure = plot_plan([0.5, 2.0], [100.0, 0.0])
        >>> [bar.get_height() for bar in figure.axes[0].patches]
        [0.5, 2.0]
    """
    if not chips or len(chips) != len(crossing):
        expected = "one number for each layer, as in crossing, and at least one"
        raise ArgumentError("chips", list(chips), expected)
    figure = _style.new_figure(_style.WIDTH, 3.4)
    panels = figure.subplots(2, 1, sharex=True)
    numbers = range(1, len(chips) + 1)
    for axes, values, key in (
        (panels[0], chips, "reporting.plan_chips"),
        (panels[1], crossing, "reporting.plan_crossing"),
    ):
        axes.bar(numbers, values, color=_style.BLUE)
        _style.title(axes, _style.words(key))
        _style.tidy(axes)
        _style.plain_ticks(axes.yaxis)
    _style.integer_ticks(panels[1].xaxis)
    _style.xlabel(panels[1], _style.words("reporting.layer"))
    return figure
