from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from spikeformer import figure_style as _style
from spikeformer.error_handling import ArgumentError
from spikeformer.reporting.figures import plot_confusion_matrix

MATRIX = np.array([[8, 2, 0], [0, 5, 0], [1, 0, 0]])


def test_counts_stand_in_their_cells() -> None:
    axes = plot_confusion_matrix(MATRIX).axes[0]
    written = np.zeros_like(MATRIX)
    for text in axes.texts:
        column, row = map(int, text.get_position())
        written[row, column] = int(text.get_text())
    np.testing.assert_array_equal(written, MATRIX)


def test_colour_tells_right_from_wrong_and_opacity_the_share() -> None:
    pixels = np.asarray(plot_confusion_matrix(MATRIX).axes[0].images[0].get_array())
    np.testing.assert_allclose(pixels[0, 0, :3], to_rgb(_style.BLUE))
    np.testing.assert_allclose(pixels[0, 1, :3], to_rgb(_style.ORANGE))
    assert pixels[0, 0, 3] == pytest.approx(np.sqrt(0.8))
    assert pixels[0, 1, 3] == pytest.approx(np.sqrt(0.2))
    assert pixels[0, 2, 3] == 0.0
    assert pixels[2, 2, 3] == 0.0


def test_a_single_error_stays_visible() -> None:
    pixels = np.asarray(plot_confusion_matrix([[9999, 1], [0, 1]]).axes[0].images[0].get_array())
    assert pixels[0, 1, 3] == pytest.approx(0.3)


def test_names_label_both_axes() -> None:
    axes = plot_confusion_matrix(MATRIX, ["cat", "dog", "a very long class name"]).axes[0]
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names == [label.get_text() for label in axes.get_yticklabels()]
    assert names[:2] == ["cat", "dog"]
    assert len(names[2]) <= 14


def test_a_dollar_sign_starts_no_formula() -> None:
    names = [r"$\frac$", "$", "$$"]
    figure = plot_confusion_matrix(MATRIX, names)
    figure.draw_without_rendering()  # where a formula would be refused
    axes = figure.axes[0]
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == names
        assert not any(label.get_parse_math() for label in labels)


def test_many_classes_are_drawn_without_counts() -> None:
    axes = plot_confusion_matrix(np.eye(100, dtype=int)).axes[0]
    assert not axes.texts
    assert len(axes.get_xticks()) <= 30


def test_an_empty_test_split_divides_by_nothing() -> None:
    figure = plot_confusion_matrix(np.zeros((2, 2), dtype=int))
    figure.draw_without_rendering()
    assert (np.asarray(figure.axes[0].images[0].get_array())[..., 3] == 0.0).all()
    assert not figure.axes[0].texts


@pytest.mark.parametrize("matrix", [[[1, 2]], [1, 2], np.empty((0, 0))])
def test_other_shapes_are_refused(matrix: object) -> None:
    with pytest.raises(ArgumentError, match="square"):
        plot_confusion_matrix(matrix)


def test_names_must_match() -> None:
    with pytest.raises(ArgumentError, match="3 names"):
        plot_confusion_matrix(MATRIX, ["cat", "dog"])
