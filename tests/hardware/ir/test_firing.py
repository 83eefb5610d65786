"""Graded spikes against brute force and Python's fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeformer.hardware.ir.firing import (
    MAX_LEVELS,
    count,
    count_integers,
    minimum_of_packed,
    packing_base,
)


@pytest.mark.parametrize("levels", [1, 2, 3, 4, 7, 8, MAX_LEVELS])
def test_minimum_of_every_pair(levels):
    a, b = np.meshgrid(np.arange(levels + 1), np.arange(levels + 1))
    base = packing_base(levels)
    assert levels < base <= 128
    np.testing.assert_array_equal(minimum_of_packed(a + base * b, levels), np.minimum(a, b))


@given(
    membrane=st.integers(-(2**23), 2**23),
    threshold=st.integers(1, 2**23),
    levels=st.integers(1, MAX_LEVELS),
)
def test_counts_are_the_nearest_whole_number(membrane, threshold, levels):
    expected = min(max(round(Fraction(membrane, threshold)), 0), levels)
    assert count_integers(np.array([membrane]), threshold, levels).tolist() == [expected]


def test_ties_go_to_the_even_number():
    membranes = np.array([0.25, 0.75, 1.25, 1.75, -0.25, 9.0])
    expected = [0, 2, 2, 4, 0, 4]
    assert count(membranes, 0.5, 4).tolist() == expected
    assert count_integers((membranes * 8).astype(np.int64), 4, 4).tolist() == expected
