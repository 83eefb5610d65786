from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeformer.data.splits import check_fraction, stratified_draw, stratified_split
from spikeformer.error_handling import ArgumentError


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=60),
    st.integers(0, 60),
    st.integers(0, 2**31),
)
def test_draw_is_disjoint_complete_and_proportional(labels, wanted, seed):
    labels, wanted = np.array(labels), min(wanted, len(labels))
    drawn, rest = stratified_draw(labels, wanted, seed)
    assert len(drawn) == wanted
    assert sorted([*drawn, *rest]) == list(range(len(labels)))
    for value in np.unique(labels):
        share = (labels == value).sum() * wanted / len(labels)
        assert abs((labels[drawn] == value).sum() - share) < 1


def test_same_seed_same_draw_other_seed_another():
    labels = np.arange(100) % 4
    first, _ = stratified_split(labels, 0.2, seed=0)
    again, _ = stratified_split(labels, 0.2, seed=0)
    other, _ = stratified_split(labels, 0.2, seed=1)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("fraction", "expected"), [(0.0, 0), (0.001, 1), (0.25, 25)])
def test_split_sizes(fraction, expected):
    assert len(stratified_split(np.zeros(100, np.int64), fraction, 0)[0]) == expected


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan"), True, "half"])
def test_fraction_outside_its_range(fraction):
    with pytest.raises(ArgumentError, match="val_fraction"):
        check_fraction("val_fraction", fraction)
