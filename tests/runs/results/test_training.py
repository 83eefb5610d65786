"""What training and prediction came to, in their files and back."""

from __future__ import annotations

import math

from spikeformer.runs import FitResults, PredictionResults, RunFolder


def test_fit_results_come_back(tmp_path):
    saved = FitResults(3, 96, 1.5, 7, {"train/loss": math.inf, "val/accuracy": 0.5})
    saved.save(RunFolder(tmp_path))
    assert FitResults.load(RunFolder(tmp_path)) == saved
    assert saved.numbers() == {
        "epochs": 3,
        "steps": 96,
        "seconds": 1.5,
        "num_parameters": 7,
        "train/loss": math.inf,
        "val/accuracy": 0.5,
    }


def test_prediction_results_come_back(tmp_path):
    saved = PredictionResults(0.75, 360, 812.5, 1.25, 9.0, 4, 33)
    saved.save(RunFolder(tmp_path))
    assert PredictionResults.load(RunFolder(tmp_path)) == saved
    assert saved.numbers()["latency_ms_p99"] == 9.0
