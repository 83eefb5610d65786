from __future__ import annotations

import pytest

from spikeformer.error_handling import ArgumentError
from spikeformer.reporting.figures import plot_firing_rates

RATES = {"net.stem": 0.25, "net.block": 0.1, "net.head": 0.0}


def texts(figure: object) -> list[str]:
    shown = [text.get_text() for text in figure.axes[0].texts]
    return [text.replace("\N{NO-BREAK SPACE}", " ") for text in shown if text]


def test_bar_lengths_are_the_rates() -> None:
    axes = plot_firing_rates(RATES).axes[0]
    bars = axes.containers[-1]
    assert [bar.get_width() for bar in bars] == list(RATES.values())
    assert all(bar.get_x() == 0 for bar in bars)
    assert axes.get_xlim() == (0, 0.25)


def test_layers_stand_from_top_to_bottom() -> None:
    axes = plot_firing_rates(RATES).axes[0]
    low, high = axes.get_ylim()
    places = [bar.get_y() for bar in axes.containers[-1]]
    assert low > high
    assert places == sorted(places)


def test_names_and_values_are_written() -> None:
    assert texts(plot_firing_rates(RATES)) == ["stem", "25.0 %", "block", "10.0 %", "head", "0 %"]


def test_silent_and_saturated_neurons_are_marked() -> None:
    figure = plot_firing_rates(RATES, {"net.head": 1.0, "net.stem": 0.0}, {"net.stem": 0.125})
    assert "▽ 100 %" in texts(figure)
    assert "△ 12.5 %" in texts(figure)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["silent neurons", "saturated neurons"]


def test_nothing_is_marked_without_need() -> None:
    axes = plot_firing_rates(RATES, {"net.stem": 0.0}, {}).axes[0]
    assert axes.get_legend() is None


def test_a_network_that_never_fires_has_a_bar_of_no_length() -> None:
    figure = plot_firing_rates({"only": 0.0})
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert [bar.get_width() for bar in axes.containers[-1]] == [0.0]
    assert axes.get_xlim() == (0, 0.01)
    assert texts(figure) == ["only", "0 %"]


def test_long_names_do_not_squeeze_the_bars() -> None:
    figure = plot_firing_rates({"x" * 200: 0.5, "y." * 100: 0.1}, {"x" * 200: 0.5})
    figure.draw_without_rendering()
    assert figure.axes[0].get_position().width > 0.9


def test_no_layer_is_refused() -> None:
    with pytest.raises(ArgumentError, match="rates"):
        plot_firing_rates({})
