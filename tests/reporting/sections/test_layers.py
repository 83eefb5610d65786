"""Firing rate per layer, on the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spikeformer.reporting.sections.layers import layers
from spikeformer.runs import RunResults, TestResults

EMPTY = RunResults(Path("run"), "run")


def test_layers_are_left_out_without_rates():
    assert layers(EMPTY) is None
    assert layers(replace(EMPTY, test=TestResults({"loss": 1.0}))) is None


def test_layers_show_rates_and_neurons_that_say_nothing():
    rates = {"net.stem.neuron": 0.25, "net.block.neuron": 0.5, "net.head": 0.125}
    test = TestResults(firing_rates=rates, silent={"net.stem.neuron": 0.75})
    content = layers(replace(EMPTY, test=test))
    rows = content.values["rows"]
    assert "net." in content.values["prefix_note"]
    assert rows[0] == {
        "name": "stem.neuron",
        "rate": 0.25,
        "silent": 0.75,
        "saturated": None,
    }
    assert [row["name"] for row in rows] == [
        "stem.neuron",
        "block.neuron",
        "head",
    ]
    figure = content.figures["firing_rates"]
    assert "net.head" in figure.alt
    assert "net.block.neuron" in figure.alt
    assert [bar.get_width() for bar in figure.figure.axes[0].containers[-1]] == list(rates.values())
