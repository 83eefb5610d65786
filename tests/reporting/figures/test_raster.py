from __future__ import annotations

import numpy as np
import pytest

from spikeformer.error_handling import ArgumentError
from spikeformer.reporting.figures import plot_raster


def drawn(axes: object, timesteps: int, neurons: int) -> np.ndarray:
    """Read the spikes back from the path: every one is a bar around (timestep, neuron)."""
    ends = axes.patches[0].get_path().vertices.reshape(-1, 2, 2)
    assert (ends[:, 0, 1] == ends[:, 1, 1]).all()
    assert (ends[:, 1, 0] - ends[:, 0, 0] < 1).all()
    spikes = np.zeros((timesteps, neurons), dtype=int)
    for time, neuron in ends.mean(axis=1):
        spikes[round(time) - 1, round(neuron)] += 1
    return spikes


@pytest.mark.parametrize("shape", [(1, 1), (4, 7), (33, 64)])
def test_every_spike_is_drawn_once(shape: tuple[int, int]) -> None:
    spikes = (np.random.default_rng(0).random(shape) < 0.4).astype(np.uint8)
    axes = plot_raster({"layer": spikes}).axes[0]
    np.testing.assert_array_equal(drawn(axes, *shape), spikes)


def test_multi_level_spikes_are_marked_like_binary_ones() -> None:
    axes = plot_raster({"layer": np.array([[0, 3], [1, 0]])}).axes[0]
    np.testing.assert_array_equal(drawn(axes, 2, 2), [[0, 1], [1, 0]])


def test_large_layers_show_neurons_at_even_distances() -> None:
    spikes = np.zeros((2, 101), dtype=np.uint8)
    spikes[:, [0, 50, 100]] = 1
    axes = plot_raster({"layer": spikes}, max_neurons=5).axes[0]
    np.testing.assert_array_equal(drawn(axes, 2, 5), [[1, 0, 1, 0, 1]] * 2)


def test_titles_name_the_layer_and_its_rate() -> None:
    figure = plot_raster({"net.a": np.eye(4), "net.b": np.zeros((4, 2))})
    titles = [axes.get_title(loc="left").split("\n") for axes in figure.axes]
    assert titles == [["a", "25.0\N{NO-BREAK SPACE}%"], ["b", "0\N{NO-BREAK SPACE}%"]]


def test_a_silent_layer_is_an_empty_panel() -> None:
    figure = plot_raster({"silent": np.zeros((4, 3))}, titles=False)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert drawn(axes, 4, 3).sum() == 0
    assert (axes.get_xlim(), axes.get_ylim()) == ((0.5, 4.5), (2.5, -0.5))
    assert axes.get_title(loc="left") == ""


@pytest.mark.parametrize("spikes", [{}, {"a": np.zeros(3)}, {"a": np.zeros((0, 3))}])
def test_what_is_no_raster_is_refused(spikes: dict[str, np.ndarray]) -> None:
    with pytest.raises(ArgumentError, match="spikes"):
        plot_raster(spikes)


@pytest.mark.parametrize("option", ["max_neurons", "columns"])
def test_options_must_be_positive(option: str) -> None:
    with pytest.raises(ArgumentError, match=option):
        plot_raster({"a": np.eye(2)}, **{option: 0})
