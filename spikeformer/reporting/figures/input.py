"""The input of one sample."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from spikeformer import figure_style as _style
from spikeformer.error_handling import ArgumentError


def is_drawable(array: np.ndarray) -> bool:
    """Tell whether `plot_input` has a picture for an array of this shape."""
    return array.size > 0 and 1 <= array.ndim <= 4 and np.issubdtype(array.dtype, np.number)


def plot_input(array: np.ndarray) -> Figure:
    """Draw one sample as what its shape says it is.

    - (channels, height, width): an image, in colour with three channels, else in grey;
    - (1, mels, frames) that is not square: a spectrogram, low frequencies at the bottom;
    - (timesteps, channels, height, width): the image averaged over time;
    - (rows, columns): a map; (values,): a line.

    Args:
        array: The input without its batch axis; values outside [0, 1] are scaled into it.

    Raises:
        ArgumentError: If the array has none of these shapes.

    Example:
        >>> plot_input(np.zeros((3, 8, 8))).axes[0].images[0].get_array().shape
        (8, 8, 3)
    """
    array = np.asarray(array)
    if not is_drawable(array):
        raise ArgumentError("array", array.shape, "numbers with one to four axes")
    values = np.nan_to_num(array.astype(np.float64))
    if values.ndim == 4:
        values = values.mean(axis=0)
    if values.ndim == 1:
        return _line(values)
    if values.ndim == 3 and (len(values) != 1 or values.shape[1] == values.shape[2]):
        return _image(values)
    return _map(values.reshape(values.shape[-2:]), spectrogram=values.ndim == 3)


def _unit_range(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if low >= 0.0 and high <= 1.0:
        return values
    return (values - low) / (high - low or 1.0)


def _image(values: np.ndarray) -> Figure:
    values = _unit_range(values)
    pixels = values.transpose(1, 2, 0) if len(values) == 3 else values.mean(axis=0)
    height, width = values.shape[1:]
    figure = _style.new_figure(2.7 * min(width / height, 1.8), 2.7)
    axes = figure.add_subplot()
    axes.imshow(pixels, cmap="gray", vmin=0.0, vmax=1.0, interpolation="none")
    _style.bare(axes)
    return figure


def _map(values: np.ndarray, spectrogram: bool) -> Figure:
    figure = _style.new_figure()
    axes = figure.add_subplot()
    axes.imshow(values, cmap="magma", aspect="auto", origin="lower", interpolation="none")
    _style.tidy(axes, grid=None)
    axes.spines["bottom"].set_visible(False)
    across = _style.words("reporting.axis_frame" if spectrogram else "reporting.axis_column")
    up = _style.words("reporting.axis_mel_band" if spectrogram else "reporting.axis_row")
    _style.xlabel(axes, across)
    _style.ylabel(axes, up)
    return figure


def _line(values: np.ndarray) -> Figure:
    figure = _style.new_figure()
    axes = figure.add_subplot()
    _style.tidy(axes)
    axes.plot(values, color=_style.BLUE, linewidth=1.2)
    _style.plain_ticks(axes.yaxis)
    _style.xlabel(axes, _style.words("reporting.axis_index"))
    axes.margins(x=0.02)
    return figure
