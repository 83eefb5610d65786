from __future__ import annotations

import numpy as np
import pytest

from spikeformer.error_handling import ArgumentError
from spikeformer.reporting.figures import Axis, plot_effect, plot_parallel


def lines(axes):
    """The drawn runs: lines that are no axis, which is at one place."""
    return [line.get_ydata() for line in axes.get_lines() if len(set(line.get_xdata())) > 1]


def test_each_run_is_a_line_between_the_ends_of_its_axes():
    axes = [
        Axis("lr", [1e-4, 1e-3, 1e-2]),
        Axis("neuron", ["lif", None, "plif"]),
        Axis("accuracy", [0.5, 0.75, 1.0], fraction=True),
    ]
    (drawing,) = plot_parallel(axes, [2]).axes
    drawn = lines(drawing)
    np.testing.assert_allclose(drawn, [[0, 0, 0], [0.5, 1, 0.5], [1, 0.5, 1]])
    texts = [text.get_text() for text in drawing.texts]
    assert texts == ["0.0001", "0.001", "0.01", "lif", "plif", "unset", "50.0 %", "100 %"]


def test_an_axis_of_one_value_is_drawn_in_the_middle():
    drawn = lines(plot_parallel([Axis("a", [3, 3]), Axis("b", [1, 2])]).axes[0])
    np.testing.assert_allclose(drawn, [[0.5, 0], [0.5, 1]])


@pytest.mark.parametrize("axes", [[Axis("a", [1])], [Axis("a", [1]), Axis("b", [1, 2])]])
def test_axes_that_do_not_go_together_are_refused(axes):
    with pytest.raises(ArgumentError, match="two or more of equal length"):
        plot_parallel(axes)


def test_the_line_of_an_effect_goes_through_the_means():
    (axes,) = plot_effect("neuron", "accuracy", {"lif": [0.8, 0.9], "plif": [0.6]}).axes
    dots, means = axes.get_lines()
    np.testing.assert_allclose(dots.get_ydata(), [0.8, 0.9, 0.6])
    np.testing.assert_allclose(means.get_ydata(), [0.85, 0.6])


def test_many_numbers_are_taken_together_in_quarters():
    rates = {10.0**-place: [float(place)] for place in range(12)}
    (axes,) = plot_effect("lr", "loss", rates).axes
    assert axes.get_xscale() == "log"
    np.testing.assert_allclose(axes.get_lines()[1].get_ydata(), [10, 7, 4, 1])
    with pytest.raises(ArgumentError, match="at least one value"):
        plot_effect("lr", "loss", {})
