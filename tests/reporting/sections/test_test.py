"""What the test measured, on the page."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikeformer.reporting import formats
from spikeformer.reporting.sections.test import accuracy_interval
from spikeformer.reporting.sections.test import test as section
from spikeformer.runs import RunFolder, RunResults, SampleResults, TestResults
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


@pytest.mark.parametrize(("right", "total"), [(355, 360), (0, 10), (10, 10), (1, 2)])
def test_accuracy_interval_is_wilson_s(right, total):
    # Wilson, J. Am. Stat. Assoc. 22 (1927), for z = 1.96 two-sided.
    z, p = 1.959963984540054, right / total
    centre = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(p * (1 - p) / total + (z / (2 * total)) ** 2)
    low, high = accuracy_interval(right, total).split(" to ")
    assert low == formats.percent(max(round(centre - half, 12), 0.0))
    assert high == formats.percent(min(round(centre + half, 12), 1.0))


def test_accuracy_over_timesteps_is_drawn_where_there_are_several():
    results = TestResults({"accuracy": 0.5}, None, np.eye(2, dtype=int), num_samples=2)
    run = RunResults(Path("run"), "run", test=results)
    assert "timesteps" not in section(run).figures
    for early, drawn in (([0.5], False), ([0.25, 0.5], True)):
        one = replace(run, test=replace(results, accuracy_by_timestep=early))
        assert ("timesteps" in section(one).figures) == drawn
    assert "25.0" in section(one).figures["timesteps"].alt
