from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from spikeformer import figure_style
from spikeformer.error_handling import ArgumentError
from spikeformer.reporting.figures import is_drawable, plot_input, polarity_colours

RNG = np.random.default_rng(0)


def pixels(array: np.ndarray) -> np.ndarray:
    return np.asarray(plot_input(array).axes[0].images[0].get_array())


def test_colour_image_keeps_its_pixels() -> None:
    image = RNG.random((3, 5, 4))
    np.testing.assert_array_equal(pixels(image), image.transpose(1, 2, 0))


def test_grey_image_keeps_its_pixels() -> None:
    image = RNG.random((1, 8, 8))
    np.testing.assert_array_equal(pixels(image), image[0])


def test_normalised_image_is_scaled_back() -> None:
    image = RNG.normal(size=(3, 4, 4))
    shown = pixels(image)
    assert (shown.min(), shown.max()) == (0.0, 1.0)


def test_spectrogram_has_low_frequencies_at_the_bottom() -> None:
    axes = plot_input(RNG.random((1, 64, 101))).axes[0]
    assert axes.images[0].origin == "lower"
    assert axes.get_ylabel() == "mel band"


def test_frames_are_averaged() -> None:
    frames = RNG.random((5, 3, 4, 4))
    np.testing.assert_allclose(pixels(frames), frames.mean(axis=0).transpose(1, 2, 0))


def test_events_are_a_strip_of_frames_with_the_colours_of_their_polarity() -> None:
    events = np.zeros((3, 2, 4, 5))
    events[0, 0, 1, 2] = events[2, 1, 3, 4] = 4.0
    events[1, 1, 0, 0] = 1.0
    axes = plot_input(events).axes
    assert [a.get_title(loc="left") for a in axes] == ["1", "2", "3"]
    first, second, third = (np.asarray(a.images[0].get_array()) for a in axes)
    assert first.shape == (4, 5, 3)
    blue, orange = to_rgb(figure_style.BLUE), to_rgb(figure_style.ORANGE)
    np.testing.assert_allclose(first[1, 2], orange)
    np.testing.assert_allclose(third[3, 4], blue)
    np.testing.assert_allclose(second[0, 0], (1 + np.array(blue)) / 2)  # of one scale with 4
    for picture in (first, second, third):
        assert (picture.reshape(-1, 3) == 1).all(axis=1).sum() == 19


def test_many_steps_are_put_together() -> None:
    axes = plot_input(RNG.random((40, 1, 4, 4))).axes
    assert [a.get_title(loc="left") for a in axes][:3] == ["3", "6", "9"]
    assert (len(axes), axes[-1].get_title(loc="left")) == (16, "40")
    first = [a.get_gridspec().get_geometry() for a in axes]
    assert set(first) == {(4, 4)}


def test_events_of_a_line_of_sensors_are_drawn_over_time() -> None:
    events = np.zeros((6, 1, 1, 9))
    events[4, 0, 0, 7] = 1
    (axes,) = plot_input(events).axes
    picture = np.asarray(axes.images[0].get_array())
    assert picture.shape == (9, 6, 3)
    assert np.argwhere((picture < 1).any(axis=2)).tolist() == [[7, 4]]
    assert axes.get_xlabel() == "timestep"


def test_signed_values_of_one_channel_have_both_colours() -> None:
    colours = polarity_colours(np.array([[[-2.0, 0.0, 2.0]]]))
    np.testing.assert_allclose(
        colours[0], [to_rgb(figure_style.ORANGE), (1, 1, 1), to_rgb(figure_style.BLUE)]
    )


def test_where_both_kinds_are_the_colour_lies_between_them() -> None:
    colours = polarity_colours(np.array([[[1.0, 4.0, 0.0]], [[3.0, 0.0, 0.0]]]))[0]
    orange, blue = (np.array(to_rgb(c)) for c in (figure_style.ORANGE, figure_style.BLUE))
    np.testing.assert_allclose(colours, [(orange + 3 * blue) / 4, orange, np.ones(3)])


def test_two_polarities_become_one_image() -> None:
    events = RNG.random((2, 6, 6))
    np.testing.assert_array_equal(pixels(events), polarity_colours(events))


def test_values_become_a_line() -> None:
    values = RNG.random(7)
    np.testing.assert_array_equal(plot_input(values).axes[0].lines[0].get_ydata(), values)


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_an_image_without_contrast_is_black(value: float) -> None:
    np.testing.assert_array_equal(pixels(np.full((1, 4, 4), value)), np.zeros((4, 4)))
    plot_input(np.full((1, 4, 4), value)).draw_without_rendering()


@pytest.mark.parametrize("array", [np.float32(1), np.zeros((1,) * 5), np.zeros((0, 2)), ["a"]])
def test_other_inputs_are_refused(array: object) -> None:
    assert not is_drawable(np.asarray(array))
    with pytest.raises(ArgumentError, match="array"):
        plot_input(array)
