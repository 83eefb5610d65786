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
