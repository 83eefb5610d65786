from __future__ import annotations

import pytest

from spikeformer.error_handling import ArgumentError
from spikeformer.reporting.figures import plot_timesteps


def test_a_point_for_each_timestep():
    (axes,) = plot_timesteps([0.25, 0.5, 0.5]).axes
    (line,) = axes.lines
    assert list(line.get_xdata()) == [1, 2, 3]
    assert list(line.get_ydata()) == [0.25, 0.5, 0.5]
    with pytest.raises(ArgumentError, match="at least one timestep"):
        plot_timesteps([])
