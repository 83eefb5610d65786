from __future__ import annotations

import pytest

from spikeformer.error_handling import ArgumentError
from spikeformer.reporting.figures import plot_events, plot_read_early, plot_trade_off

STEPS = [
    {"timesteps": t, "accuracy": 0.5 + 0.1 * t, "agreement": 0.6 + 0.1 * t, "error": 1 / t,
     "events_per_neuron": 0.5 * t}
    for t in (1, 2, 3)
]  # fmt: skip
ROWS = [
    {"levels": n, "timesteps": t, "agreement": 0.9 + 0.01 * t, "error": 0.1 / t, "energy_uj": n * t}
    for n in (4, 8)
    for t in (1, 2)
]


def lines(axes):
    return {line.get_label(): line.get_ydata() for line in axes.lines}


def test_classes_are_drawn_over_time():
    (left,), (right,) = plot_read_early(STEPS, 0.9).axes, plot_events(STEPS).axes
    assert list(lines(left)["accuracy"]) == [0.6, 0.7, 0.8]
    assert list(lines(left)["agreement"]) == pytest.approx([0.7, 0.8, 0.9])
    assert list(lines(right)["events"]) == [0.5, 1.0, 1.5]
    assert left.lines[-1].get_ydata()[0] == 0.9


def test_without_classes_the_error_is():
    steps = [{**step, "accuracy": None, "agreement": None} for step in STEPS]
    (left,) = plot_read_early(steps).axes
    assert list(lines(left)["error"]) == [1.0, 0.5, 1 / 3]


def test_one_line_for_each_number_of_levels():
    (axes,) = plot_trade_off(ROWS, ROWS[2]).axes
    found = lines(axes)
    assert list(found["4 levels"]) == [0.91, 0.92]
    assert list(found["8 levels"]) == [0.91, 0.92]
    assert axes.lines[-1].get_xdata()[0] == 8


def test_nothing_to_draw():
    with pytest.raises(ArgumentError, match="steps"):
        plot_read_early([])
    with pytest.raises(ArgumentError, match="steps"):
        plot_events([])
    with pytest.raises(ArgumentError, match="rows"):
        plot_trade_off([], {})
