from __future__ import annotations

import pytest

from spikeformer.error_handling import ArgumentError
from spikeformer.research import average_accuracy, forgetting

# Rows: after tasks 1, 2, 3; columns: tested on 1, 2, 3.
MATRIX = [[0.9, 0.5, 0.5], [0.7, 0.8, 0.4], [0.6, 0.85, 0.95]]


def test_the_published_formulas():
    assert average_accuracy(MATRIX) == pytest.approx((0.6 + 0.85 + 0.95) / 3)
    # Task 1 loses 0.9 - 0.6; task 2 gains 0.05 over its best before.
    assert forgetting(MATRIX) == pytest.approx((0.3 - 0.05) / 2)


def test_refuses_what_is_no_square():
    for bad in ([], [[0.5, 0.5]], [0.5]):
        with pytest.raises(ArgumentError, match="square"):
            average_accuracy(bad)
    with pytest.raises(ArgumentError, match="two tasks"):
        forgetting([[1.0]])
