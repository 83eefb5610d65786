"""How large the gradients of each layer were while the network trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from spikeformer import figure_style as _style
from spikeformer.error_handling import ArgumentError
from spikeformer.i18n import format_number
from spikeformer.reporting import formats

_FLOOR = 0.08
"""Strength of the colour of the smallest norm, so that it is told from none."""


def plot_gradients(norms: Mapping[str, Sequence[float]], epochs: Sequence[float]) -> Figure:
    """Draw a row for each layer and a cell for each epoch, darker for larger gradients.

    The colour is that of the logarithm, from the smallest to the largest norm of all; the number at
    the right is the last epoch's.

    Args:
        norms: Norms by layer, in network order, one for each epoch; NaN where there is none.
        epochs: Numbers of the epochs.

    Raises:
        ArgumentError: No norm is finite and positive, or a layer has another number of them than
            there are epochs.

    Example:
        >>> figure = plot_gradients({"stem": [1.0, 0.1], "head": [0.5, 0.05]}, [0, 1])
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['0.1', '0.05']
    """
    if {len(each) for each in norms.values()} - {len(epochs)}:
        raise ArgumentError("norms", list(map(len, norms.values())), f"{len(epochs)} each")
    values = np.array(list(norms.values()), dtype=float)
    valid = np.isfinite(values) & (values > 0)
    if not valid.any():
        raise ArgumentError("norms", list(norms), "at least one finite norm above 0")
    logs = np.log10(np.where(valid, values, 1.0))
    low, high = logs[valid].min(), logs[valid].max()
    strength = (logs - low) / (high - low) if high > low else np.ones_like(logs)
    pixels = np.empty((*values.shape, 4))
    pixels[..., :3] = to_rgb(_style.BLUE)
    pixels[..., 3] = np.where(valid, _FLOOR + (1 - _FLOOR) * strength, 0.0)
    figure = _style.new_figure(_style.WIDTH, 0.6 + 0.24 * len(values))
    axes = figure.add_subplot()
    axes.imshow(pixels, interpolation="none", aspect="auto")
    _style.tidy(axes, grid=None)
    axes.spines["bottom"].set_visible(False)
    labels = [formats.tail(name, 30) for name in formats.without_common_prefix(list(norms))]
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    shown = np.unique(np.linspace(0, len(epochs) - 1, min(6, len(epochs))).round().astype(int))
    axes.set_xticks(shown, [f"{epochs[place]:g}" for place in shown])
    _style.xlabel(axes, _style.words("reporting.axis_epoch"))
    for row, (number, known) in enumerate(zip(values[:, -1], valid[:, -1], strict=True)):
        if known:
            axes.annotate(
                format_number(number, ".2g"), (1.0, row), (4, 0), va="center",
                xycoords=("axes fraction", "data"), textcoords="offset points",
                fontsize=_style.SMALL, color=_style.INK, annotation_clip=False,
            )  # fmt: skip
    return figure
