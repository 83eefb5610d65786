"""Medians, quartiles and paired ratios."""

from __future__ import annotations

import numpy as np
import pytest
from bench.summary import duration_text, paired_ratios, summarize


def test_summary_is_numpys():
    values = np.random.default_rng(0).random(11)
    expected = np.quantile(values, [0.5, 0.25, 0.75, 0.0, 1.0])
    summary = summarize(values)
    assert [summary[k] for k in ("median", "q1", "q3", "min", "max")] == pytest.approx(expected)
    assert summary["count"] == 11


def test_one_value_is_its_own_spread():
    summary = summarize([2.0])
    assert {summary[key] for key in ("median", "q1", "q3", "min", "max")} == {2.0}


def test_pairing_hides_what_slows_both():
    ratios = paired_ratios([(1.0, 2.0), (10.0, 20.0), (3.0, 6.0)])
    assert ratios["min"] == ratios["max"] == 0.5


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0.25, "250 µs (250 to 250)"),
        (12.34, "12.3 ms (12.3 to 12.3)"),
        (2500, "2.5 s (2.5 to 2.5)"),
    ],
)
def test_durations_have_the_unit_that_suits(milliseconds, text):
    assert duration_text(summarize([milliseconds])) == text
