"""The input of one sample."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from spikeformer import figure_style as _style
from spikeformer.error_handling import ArgumentError

_MAX_FRAMES = 16
_MAX_COLUMNS = 4  # that their numbers can be read in the width of a column
_FRAME = 0.9  # inches


def is_drawable(array: np.ndarray) -> bool:
    """Tell whether `plot_input` has a picture for an array of this shape."""
    return array.size > 0 and 1 <= array.ndim <= 4 and np.issubdtype(array.dtype, np.number)


def plot_input(array: np.ndarray) -> Figure:
    """Draw one sample as what its shape says it is.

    - (channels, height, width): an image, in colour with three channels, else in grey; with two,
      events;
    - (1, mels, frames) that is not square: a spectrogram, low frequencies at the bottom;
    - (timesteps, 1 or 2, height, width): events as a strip of frames, brighter ones in blue and
      darker ones in orange; more than 16 timesteps are put together to 16 frames;
    - (timesteps, 1 or 2, 1, width): events of a line of sensors over time, in the same colours;
    - (timesteps, channels, height, width) of more channels: the image averaged over time;
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
    if values.ndim == 4 and values.shape[1] <= 2:
        return _strip(values) if values.shape[2] > 1 else _events_over_time(values[:, :, 0])
    if values.ndim == 4:
        values = values.mean(axis=0)
    if values.ndim == 1:
        return _line(values)
    if values.ndim == 3 and (len(values) != 1 or values.shape[1] == values.shape[2]):
        return _image(values)
    return _map(values.reshape(values.shape[-2:]), spectrogram=values.ndim == 3)


def polarity_colours(events: np.ndarray) -> np.ndarray:
    """Return colours of events: white for none, blue for brighter and orange for darker ones.

    Args:
        events: (1 or 2, height, width), darker events first; a single channel counts as brighter,
            its negative values as darker.

    Returns:
        (height, width, 3) from 0 to 1: the colour is that of the kinds' shares, the more saturated
        the more events there are, by their square root.
    """
    if len(events) == 1:
        events = np.concatenate([-events, events])
    counts = np.maximum(events, 0)
    total = counts.sum(axis=0)
    share = counts / np.where(total > 0, total, 1.0)
    colours = np.array([to_rgb(_style.ORANGE), to_rgb(_style.BLUE)])
    strength = np.sqrt(total / (total.max() or 1.0))[..., None]
    found: np.ndarray = 1 - strength * (1 - np.moveaxis(share, 0, -1) @ colours)
    return np.where(total[..., None] > 0, found, 1.0)


def _strip(values: np.ndarray) -> Figure:
    """Draw frames of events beside each other, numbered by their last timesteps."""
    parts = np.array_split(values, min(len(values), _MAX_FRAMES))
    frames = np.stack([part.sum(axis=0) for part in parts])
    last = np.cumsum([len(part) for part in parts])
    columns = min(len(frames), _MAX_COLUMNS)
    rows = -(-len(frames) // columns)
    # All frames have one scale.
    shown = polarity_colours(frames.swapaxes(0, 1).reshape(frames.shape[1], -1, frames.shape[3]))
    height = _FRAME * frames.shape[2] / frames.shape[3]
    figure = _style.new_figure(_FRAME * columns, (height + 0.3) * rows)
    for number, picture in enumerate(np.split(shown, len(frames))):
        axes = figure.add_subplot(rows, columns, number + 1)
        axes.imshow(picture, interpolation="none")
        _style.bare(axes)
        _style.title(axes, str(last[number]), fontsize=_style.SMALL, pad=2)
    return figure


def _events_over_time(values: np.ndarray) -> Figure:
    figure = _style.new_figure()
    axes = figure.add_subplot()
    shown = polarity_colours(values.transpose(1, 2, 0))
    extent = (0.5, len(values) + 0.5, -0.5, values.shape[2] - 0.5)
    axes.imshow(shown, aspect="auto", origin="lower", interpolation="none", extent=extent)
    _style.tidy(axes, grid=None)
    _style.integer_ticks(axes.xaxis)
    _style.xlabel(axes, _style.words("reporting.axis_timestep"))
    _style.ylabel(axes, _style.words("reporting.axis_index"))
    return figure


def _unit_range(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if low >= 0.0 and high <= 1.0:
        return values
    return (values - low) / (high - low or 1.0)


def _image(values: np.ndarray) -> Figure:
    values = _unit_range(values)
    pixels = values.transpose(1, 2, 0) if len(values) == 3 else values.mean(axis=0)
    pixels = polarity_colours(values) if len(values) == 2 else pixels
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
