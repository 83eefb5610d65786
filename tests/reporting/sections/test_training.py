"""Training curves, on the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from spikeformer.reporting.sections.training import training
from spikeformer.runs import RunResults

EMPTY = RunResults(Path("run"), "run")
HISTORY = pd.DataFrame(
    {
        "epoch": [0, 1, 2],
        "train/loss": [2.0, 1.5, 1.0],
        "val/loss": [2.5, float("nan"), 1.25],
        "val/top5_accuracy": [0.25, 0.5, 0.75],
    }
)


def test_training_is_left_out_without_a_history():
    assert training(EMPTY) is None
    assert training(replace(EMPTY, history=HISTORY[["epoch"]])) is None


def test_training_shows_one_curve_for_each_metric():
    content = training(replace(EMPTY, history=HISTORY))
    assert content.values["curves"] == ["history-loss", "history-top5-accuracy"]
    drawn = content.figures["history-loss"].figure.axes[0].lines
    curves = [list(line.get_ydata()) for line in drawn]
    assert [2.0, 1.5, 1.0] in curves
    # Only the combined figure goes to a file, and only single ones into the page.
    kinds = {name: (figure.inline, figure.save) for name, figure in content.figures.items()}
    assert kinds.pop("history") == (False, True)
    assert set(kinds.values()) == {(True, False)}


def test_training_says_where_curves_begin_and_end():
    alt = training(replace(EMPTY, history=HISTORY)).figures["history-loss"].alt
    for text in ("train/loss", "val/loss", "2.5", "1.25"):  # the epoch that was not tested is none
        assert text in alt


def test_training_says_how_fast_it_was_without_the_first_epoch():
    speed = {
        "speed/samples_per_second": [10.0, 2000.0, 1000.0],
        "speed/step_ms": [900.0, 2.0, 4.0],
        "speed/process_memory_mib": [500.0, 700.0, 700.5],
    }
    rows = training(replace(EMPTY, history=HISTORY.assign(**speed))).values["speed"]
    shown = {name: value.replace("\u00a0", " ") for name, value in rows}
    assert shown == {
        "Samples per second": "1,500",
        "Time of a batch": "3 ms",
        "Peak memory of the process": "700 MiB",
    }


def test_training_shows_gradients_and_no_curve_of_them():
    norms = {"grad_norm/net.a": [1.0, 0.5, 0.25], "grad_norm/net.b": [0.1, 0.1, 0.1]}
    content = training(replace(EMPTY, history=HISTORY.assign(**norms)))
    assert content.values["curves"] == ["history-loss", "history-top5-accuracy"]
    rows = content.figures["gradients"].figure.axes[0].get_yticklabels()
    assert [row.get_text() for row in rows] == ["a", "b"]
    assert "net." in content.values["prefix_note"]
    assert "gradients" not in training(replace(EMPTY, history=HISTORY)).figures
