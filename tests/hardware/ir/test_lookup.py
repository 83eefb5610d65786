"""Embeddings that the host looks up."""

from __future__ import annotations

import numpy as np
import pytest

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import Lookup


def test_rows_of_the_table_follow_one_another():
    lookup = Lookup("input_ids", np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    values = lookup(np.array([[2, 0], [1, 1]]))
    np.testing.assert_array_equal(values, [[5, 6, 1, 2], [3, 4, 3, 4]])
    assert values.dtype == np.float64
    assert lookup(np.zeros((0, 2), np.int64)).shape == (0, 4)


@pytest.mark.parametrize("ids", [np.array([[3]]), np.array([[-1]]), np.array([[0.0]])])
def test_ids_that_are_not_in_the_table_are_refused(ids):
    with pytest.raises(HardwareCompatibilityError, match="from 0 to 3 - 1"):
        Lookup("input_ids", np.ones((3, 2)))(ids)
