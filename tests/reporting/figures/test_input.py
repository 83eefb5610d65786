from __future__ import annotations

import numpy as np
import pytest

from spikeformer.error_handling import ArgumentError
from spikeformer.reporting.figures import is_drawable, plot_input

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
    frames = RNG.random((5, 1, 4, 4))
    np.testing.assert_allclose(pixels(frames), frames.mean(axis=(0, 1)))


def test_two_polarities_become_one_image() -> None:
    assert pixels(RNG.random((2, 6, 6))).shape == (6, 6)


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
