"""Figures of energy show the numbers that they are given."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.error_handling import ArgumentError
from spikeformer.neurons import LifNeuron
from spikeformer.profiling import EnergyProfiler, Range
from spikeformer.profiling.figures import plot_comparison, plot_layer_energy, plot_power_timeline


def widths(axes):
    """Lengths of the horizontal bars, group by group."""
    return [[bar.get_width() for bar in group] for group in axes.containers if len(group)]


def test_plot_layer_energy_draws_value_and_bounds_in_order():
    layers = {"stem": Range(1.0, 2.0, 3.0), "head_$x$": Range(0.0, 0.5, 4.0)}
    axes = plot_layer_energy(layers).axes[0]
    track, high, value = widths(axes)
    assert track == [4.0, 4.0]
    assert high == [3.0, 4.0]
    assert value == [2.0, 0.5]
    (lows,) = axes.collections
    assert lows.get_offsets()[:, 0].tolist() == [1.0, 0.0]
    texts = [text.get_text() for text in axes.texts]
    assert texts[::2] == ["stem", "head_$x$"]
    assert texts[1].endswith("µJ")
    top, bottom = axes.texts[0].xy[1], axes.texts[2].xy[1]
    assert axes.transData.transform((0, top))[1] > axes.transData.transform((0, bottom))[1]


def test_plot_comparison_stacks_purposes_up_to_each_network_s_energy():
    net = nn.Sequential(nn.Linear(6, 20), LifNeuron(), nn.Linear(20, 4))
    profiler = EnergyProfiler()
    with torch.no_grad(), profiler.measure():
        net(torch.rand(2, 4, 6))
    rows = profiler.compare([net]).rows
    axes = plot_comparison(rows).axes[0]
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == [f"{row.network} {row.precision}" for row in rows]
    bars = [group for group in axes.containers if hasattr(group, "patches")]
    for place, row in enumerate(rows):
        last = bars[-1][place]
        assert last.get_x() + last.get_width() == pytest.approx(row.energy_uj.value)
        for group, purpose in zip(bars, ("compute", "memory", "addressing"), strict=True):
            value = row.breakdown[purpose].value
            assert group[place].get_width() == pytest.approx(value)
    (lines,) = [c for c in axes.collections if len(c.get_segments()) == len(rows)]
    for row, segment in zip(rows, lines.get_segments(), strict=True):
        assert segment[:, 0].tolist() == pytest.approx([row.energy_uj.low, row.energy_uj.high])
    assert axes.get_xlim()[0] == 0


def test_plot_power_timeline_draws_power_and_its_average():
    axes = plot_power_timeline([0.1, 0.2, 0.3], [1.0, 3.0, 2.0], "CPU, measured", 2.0).axes[0]
    power, average = axes.lines
    assert power.get_xdata().tolist() == [0.1, 0.2, 0.3]
    assert power.get_ydata().tolist() == [1.0, 3.0, 2.0]
    assert set(average.get_ydata()) == {2.0}
    assert "CPU, measured" in axes.get_title(loc="left") + axes.get_title()


def test_figures_without_data_are_refused():
    with pytest.raises(ArgumentError, match="layers"):
        plot_layer_energy({})
    with pytest.raises(ArgumentError, match="rows"):
        plot_comparison([])
