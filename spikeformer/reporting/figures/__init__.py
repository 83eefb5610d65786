"""Figures of a run, each a pure function from data to a matplotlib `Figure`.

They touch no global state of matplotlib, so they work in a notebook, in a logger and in a thread::

    figure = plot_history(history.to_pandas())
    figure.savefig("history.png", dpi=200)
"""

from __future__ import annotations

from spikeformer.reporting.figures.attention import plot_attention
from spikeformer.reporting.figures.confusion import plot_confusion_matrix
from spikeformer.reporting.figures.conversion import plot_events, plot_read_early, plot_trade_off
from spikeformer.reporting.figures.gradients import plot_gradients
from spikeformer.reporting.figures.history import history_panels, plot_history
from spikeformer.reporting.figures.input import is_drawable, plot_input, polarity_colours
from spikeformer.reporting.figures.output import plot_output
from spikeformer.reporting.figures.placement import plot_placement
from spikeformer.reporting.figures.plan import plot_plan
from spikeformer.reporting.figures.raster import plot_raster
from spikeformer.reporting.figures.rates import plot_firing_rates
from spikeformer.reporting.figures.sweep import Axis, plot_effect, plot_parallel
from spikeformer.reporting.figures.tasks import plot_tasks
from spikeformer.reporting.figures.timesteps import plot_timesteps

__all__ = [
    "Axis",
    "history_panels",
    "is_drawable",
    "plot_attention",
    "plot_confusion_matrix",
    "plot_effect",
    "plot_events",
    "plot_firing_rates",
    "plot_gradients",
    "plot_history",
    "plot_input",
    "plot_output",
    "plot_parallel",
    "plot_placement",
    "plot_plan",
    "plot_raster",
    "plot_read_early",
    "plot_tasks",
    "plot_timesteps",
    "plot_trade_off",
    "polarity_colours",
]
