from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spikeformer.error_handling import ArgumentError
from spikeformer.reporting.figures import history_panels, plot_history

HISTORY = {
    "epoch": [0, 1, 2],
    "seconds": [2.0, 2.1, 2.0],
    "train/loss": [2.0, 1.0, 0.5],
    "val/loss": [2.1, 0.9, 1.1],
    "val/accuracy": [0.2, 0.7, 0.6],
    "lr": [1e-3, 5e-4, 1e-4],
    "train/grad_norm": [3.0, 2.0, 1.0],
    "test/loss": [np.nan] * 3,
    "val/auroc": [np.nan] * 3,
}


def test_panels_are_the_metrics_in_reading_order() -> None:
    panels = history_panels(HISTORY)
    assert list(panels) == ["loss", "accuracy", "lr", "grad_norm"]
    assert panels["loss"] == ["train/loss", "val/loss"]


def test_lines_hold_the_data() -> None:
    figure = plot_history(pd.DataFrame(HISTORY), ["loss"])
    (axes,) = figure.axes
    training, validation, best = axes.lines
    assert axes.get_title(loc="left") == "Loss"
    np.testing.assert_array_equal(training.get_ydata(), HISTORY["train/loss"])
    np.testing.assert_array_equal(validation.get_ydata(), HISTORY["val/loss"])
    np.testing.assert_array_equal(training.get_xdata(), HISTORY["epoch"])
    assert (best.get_xdata()[0], best.get_ydata()[0]) == (1, 0.9)


def test_best_accuracy_is_the_highest() -> None:
    best = plot_history(HISTORY, ["accuracy"]).axes[0].lines[-1]
    assert (best.get_xdata()[0], best.get_ydata()[0]) == (1, 0.7)


def test_all_panels_by_default() -> None:
    assert len(plot_history(HISTORY).axes) == 4


def test_rows_count_from_zero_without_epoch() -> None:
    line = plot_history({"val/loss": [3.0, 2.0]}).axes[0].lines[0]
    np.testing.assert_array_equal(line.get_xdata(), [0, 1])


def test_one_epoch_is_a_dot() -> None:
    assert plot_history({"train/loss": [1.0]}).axes[0].lines[0].get_marker() == "o"


def test_diverged_values_leave_a_gap() -> None:
    figure = plot_history({"val/loss": [1.0, np.nan, np.inf], "epoch": [0, 1, 2]})
    figure.draw_without_rendering()
    assert figure.axes[0].lines[-1].get_ydata()[0] == 1.0


def test_lines_pass_over_epochs_that_were_not_validated() -> None:
    figure = plot_history({"val/loss": [np.nan, 3.0, np.nan, 2.0], "train/loss": [4, 3, 2, 1]})
    validation = figure.axes[0].lines[1]
    np.testing.assert_array_equal(validation.get_xdata(), [1, 3])


@pytest.mark.parametrize(("history", "panels"), [({}, None), (HISTORY, ["auroc"]), (HISTORY, [])])
def test_nothing_to_draw_is_refused(history: dict[str, list[float]], panels: list[str]) -> None:
    with pytest.raises(ArgumentError, match="panels"):
        plot_history(history, panels)
