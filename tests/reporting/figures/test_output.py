from __future__ import annotations

import numpy as np
import pytest

from spikeformer.error_handling import ArgumentError
from spikeformer.reporting.figures import plot_output

OUTPUT = np.array([[0.0, 1.0, 0.5], [3.0, 1.0, 0.0], [3.0, 4.0, 0.1]])


def lines(figure: object) -> dict[str, list[float]]:
    return {line.get_label(): line.get_ydata().tolist() for line in figure.axes[0].lines}


def test_winner_true_class_and_others() -> None:
    figure = plot_output(OUTPUT, ["cat", "dog", "owl"], target=1)
    drawn = lines(figure)
    # Both have an average of 2; the first one wins, as argmax has it.
    assert drawn["predicted: cat"] == [0.0, 3.0, 3.0]
    assert drawn["true: dog"] == [1.0, 1.0, 4.0]
    assert drawn["others"] == [0.5, 0.0, 0.1]


def test_a_right_answer_needs_no_second_mark() -> None:
    assert sorted(lines(plot_output(OUTPUT, target=0))) == ["_", "others", "predicted: 0"]


def test_running_mean() -> None:
    drawn = lines(plot_output(OUTPUT, running_mean=True))
    assert drawn["predicted: 0"] == pytest.approx([0.0, 1.5, 2.0])


def test_regression_has_no_winner() -> None:
    figure = plot_output(OUTPUT, winner=False)
    assert figure.axes[0].get_legend() is None
    np.testing.assert_array_equal([line.get_ydata() for line in figure.axes[0].lines], OUTPUT.T)


def test_only_the_strongest_of_many_classes_are_drawn() -> None:
    assert len(plot_output(np.random.default_rng(0).normal(size=(4, 1000))).axes[0].lines) == 21


def test_long_and_odd_names_are_cut_and_start_no_formula() -> None:
    names = [r"$\frac" * 5, "b" * 99, "$"]
    figure = plot_output(OUTPUT, names, target=1)
    figure.draw_without_rendering()  # where a formula would be refused
    shown = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert sorted(shown) == ["others", r"predicted: $\fra…\frac", "true: bbbbb…bbbbb"]


@pytest.mark.parametrize("output", [np.zeros(3), np.zeros((0, 3)), np.zeros((2, 3, 4))])
def test_other_shapes_are_refused(output: np.ndarray) -> None:
    with pytest.raises(ArgumentError, match="timesteps, classes"):
        plot_output(output)


def test_names_must_match() -> None:
    with pytest.raises(ArgumentError, match="3 names"):
        plot_output(OUTPUT, ["cat"])
