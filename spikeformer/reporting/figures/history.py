"""Training curves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikeformer import figure_style as _style
from spikeformer.error_handling import ArgumentError
from spikeformer.i18n import t
from spikeformer.reporting import formats

if TYPE_CHECKING:
    import pandas as pd

_FIRST = ("loss", "accuracy", "firing_rate", "lr")
_SPLITS = {
    "train": {"color": _style.ORANGE, "linewidth": 1.2, "linestyle": (0, (4, 1.5))},
    "val": {"color": _style.BLUE, "linewidth": 1.8},
}


def history_panels(history: pd.DataFrame | Mapping[str, Sequence[float]]) -> dict[str, list[str]]:
    """Return the panels that a history fills and the columns each of them shows.

    Columns named `train/<metric>` and `val/<metric>` share the panel `<metric>`; learning rates
    share the panel `lr`. Columns without a single finite value are left out.

    Example:
        >>> history_panels({"epoch": [0], "val/loss": [1.0], "train/loss": [2.0], "lr": [0.1]})
        {'loss': ['train/loss', 'val/loss'], 'lr': ['lr']}
    """
    import pandas as pd  # not for runs without a history

    frame = pd.DataFrame(history)
    panels: dict[str, list[str]] = {}
    for column in map(str, frame.columns):
        if not np.isfinite(frame[column].to_numpy(dtype=float)).any():
            continue
        split, _, metric = column.partition("/")
        if split in _SPLITS and metric:
            panels.setdefault(metric, []).append(column)
        elif split == "lr" or split.startswith("lr-"):
            panels.setdefault("lr", []).append(column)
    rank = {metric: index for index, metric in enumerate(_FIRST)}
    ordered = sorted(panels, key=lambda metric: (rank.get(metric, len(rank)), metric))
    return {metric: sorted(panels[metric]) for metric in ordered}


def plot_history(
    history: pd.DataFrame | Mapping[str, Sequence[float]], panels: Iterable[str] | None = None
) -> Figure:
    """Draw one panel per metric over the epochs, training dashed and validation solid.

    A dot marks the best validation value of `loss` and `accuracy`.

    Args:
        history: One value per epoch in columns such as `epoch`, `train/loss`, `val/accuracy`, `lr`,
            NaN where an epoch has none; without `epoch` the rows count from 0.
        panels: Which panels to draw, out of `history_panels(history)`; all of them by default.

    Raises:
        ArgumentError: If the history holds nothing to draw or a panel is not in it.

    Example:
        >>> figure = plot_history({"train/loss": [2.3, 1.1], "val/loss": [2.2, 1.3]})
        >>> [line.get_ydata().tolist() for line in figure.axes[0].lines[:2]]
        [[2.3, 1.1], [2.2, 1.3]]
    """
    import pandas as pd  # not for runs without a history

    frame = pd.DataFrame(history)
    available = history_panels(frame)
    chosen = list(available) if panels is None else list(panels)
    unknown = [panel for panel in chosen if panel not in available]
    if unknown or not chosen:
        there = ", ".join(available) or t("reporting.no_panel")
        raise ArgumentError("panels", chosen, f"panels of this history ({there})")

    columns = 1 if len(chosen) == 1 else 2
    rows = -(-len(chosen) // columns)
    figure = _style.new_figure(_style.WIDTH * columns, 2.7 * rows)
    epochs = frame["epoch"] if "epoch" in frame else pd.Series(range(len(frame)))
    for index, metric in enumerate(chosen):
        axes = figure.add_subplot(rows, columns, index + 1)
        _panel(axes, metric, epochs.to_numpy(), frame[available[metric]])
    return figure


def _panel(axes: Axes, metric: str, epochs: np.ndarray, frame: pd.DataFrame) -> None:
    _style.tidy(axes)
    name = (
        _style.words("reporting.learning_rate")
        if metric == "lr"
        else _style.drawable(formats.metric_name, metric)
    )
    _style.title(axes, name)
    for column in frame:
        look: dict[str, Any] = _SPLITS.get(
            str(column).partition("/")[0], {"color": _style.BLUE, "linewidth": 1.8}
        )
        values = frame[column].to_numpy(dtype=float)
        there = ~np.isnan(values)  # an epoch may lack some numbers: the line goes on behind it
        marker = "o" if there.sum() == 1 else None  # one point makes no line
        label = _label(str(column))
        axes.plot(epochs[there], values[there], label=label, marker=marker, markersize=4, **look)
    if f"val/{metric}" in frame and metric in ("loss", "accuracy"):
        _mark_best(axes, epochs, frame[f"val/{metric}"].to_numpy(dtype=float), metric)
    if len(frame.columns) > 1:
        _style.legend(axes)
    if formats.is_fraction(metric):
        _style.percent_ticks(axes.yaxis)
    else:
        _style.plain_ticks(axes.yaxis)
    _style.integer_ticks(axes.xaxis)
    _style.xlabel(axes, _style.words("reporting.axis_epoch"))
    axes.margins(x=0.02)


def _name(metric: str) -> str:
    return t("reporting.learning_rate") if metric == "lr" else formats.metric_name(metric)


def _label(column: str) -> str:
    split = column.partition("/")[0]
    if split == "train":
        return _style.words("reporting.split_training")
    return _style.words("reporting.split_validation") if split == "val" else column


def _mark_best(axes: Axes, epochs: np.ndarray, values: np.ndarray, metric: str) -> None:
    if not np.isfinite(values).any():
        return
    best = int(np.nanargmin(values) if metric == "loss" else np.nanargmax(values))
    axes.plot(epochs[best], values[best], "o", color=_style.BLUE, markersize=4.5, zorder=3)
