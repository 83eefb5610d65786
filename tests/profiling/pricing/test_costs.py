from __future__ import annotations

import math

import pytest

from spikeformer.error_handling import ArgumentError
from spikeformer.profiling import Cost, Range


def test_bounds_add_and_scale_together():
    assert Range(1, 2, 3) + Range(10, 20, 30) == Range(11, 22, 33)
    assert 2 * Range(1, 2, 3) == Range(1, 2, 3) * 2 == Range(2, 4, 6)
    assert Range.total([]) == Range.exactly(0)
    assert Cost(Range(1, 2, 3), "somewhere").times(10) == Range(10, 20, 30)


@pytest.mark.parametrize("values", [(2, 1, 3), (1, 3, 2), (1, math.nan, 2)])
def test_bounds_in_disorder_are_refused(values):
    with pytest.raises(ArgumentError, match="ascending order"):
        Range(*values)
