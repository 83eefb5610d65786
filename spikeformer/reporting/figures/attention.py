"""Where attention lets spikes pass, shown on the image."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from spikeformer import figure_style as _style
from spikeformer.error_handling import ArgumentError

_STRONGEST = 0.8
"""Opacity of a token at which all neurons fire; the image stays visible."""


def plot_attention(image: np.ndarray, share: np.ndarray) -> Figure:
    """Draw an image in grey, and over each of its tokens blue as strong as attention fires there.

    Args:
        image: (channels, height, width), or (timesteps, channels, height, width).
        share: Share of the attention's neurons that fire at each token, in [0, 1], shape (rows,
            columns).

    Raises:
        ArgumentError: An array has other axes.

    Example:
        >>> figure = plot_attention(np.zeros((1, 8, 8)), np.array([[1.0, 0.0], [0.5, 0.0]]))
        >>> figure.axes[0].images[1].get_array()[..., 3].tolist()
        [[0.8, 0.0], [0.4, 0.0]]
    """
    if image.ndim not in (3, 4):
        raise ArgumentError("image", image.shape, "(channels, height, width), maybe over time")
    if share.ndim != 2:
        raise ArgumentError("share", share.shape, "(rows, columns) of tokens")
    grey = np.nan_to_num(image.astype(float)).mean(axis=tuple(range(image.ndim - 2)))
    tokens = np.empty((*share.shape, 4))
    tokens[..., :3] = to_rgb(_style.BLUE)
    tokens[..., 3] = _STRONGEST * np.clip(share, 0, 1)
    height, width = grey.shape
    figure = _style.new_figure(2.0, 2.0 * height / width)
    axes = figure.add_subplot()
    axes.imshow(grey, cmap="gray", interpolation="none", extent=(0, width, height, 0))
    axes.imshow(tokens, interpolation="none", extent=(0, width, height, 0))
    _style.bare(axes)
    return figure
