"""What the test measured, on the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spikeformer.runs import RunFolder, SampleResults, TestResults
from tests.reporting.page import report, words


def test_regression_has_no_confusion_matrix(bare_folder: Path) -> None:
    TestResults({"loss": 0.5, "mse": 0.25}).save(RunFolder(bare_folder))
    SampleResults(
        {"input": np.arange(5.0)},
        target=np.array(1.5, np.float32),
        prediction=np.array(1.25, np.float32),
        output=np.ones((4, 1)),
    ).save(RunFolder(bare_folder))
    page = report(bare_folder)
    text = words(page)
    assert "test MSE0.25" in text
    assert "Predicted 1.25; the target is 1.5." in text
    assert 'aria-label="Confusion' not in page
    assert "Spikes</h3>" not in page
