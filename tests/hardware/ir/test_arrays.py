"""Arrays of a graph's files, each stored once and checked when it is read."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from spikeformer.hardware.ir.arrays import ArrayStore
from spikeformer.hardware.ir.operators import Convolution, Sparse, TokenLinear
from spikeformer.hardware.ir.sums import TokenSum

OPERATORS = [
    TokenLinear(np.arange(6.0).reshape(2, 3), 4, channels_first=True),
    TokenSum(np.arange(6.0).reshape(2, 3), 4),
    Convolution(np.ones((2, 1, 3, 3)), (2, 5, 4), (2, 1), (1, 0), 2, tokens_out=True),
    Sparse(sparse.csr_array([[0.0, 2.0], [1.0, 0.0], [0.0, 0.0]])),
]


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: type(operator).__name__)
def test_an_operator_comes_back(operator):
    store = ArrayStore()
    record = store.put_operator(operator)
    found = ArrayStore(store.arrays).get_operator(record)
    assert type(found) is type(operator)
    np.testing.assert_array_equal(found.matrix().toarray(), operator.matrix().toarray())


def test_an_array_is_stored_once():
    store, weights = ArrayStore(), np.ones((2, 2))
    assert store.put(weights) == store.put(weights) != store.put(weights.copy())
    assert len(store.arrays) == 2


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones(3), "expected 2 axes"),
        (np.array([[np.nan]]), "not finite"),
        (np.ones((1, 1), np.float32), "float32"),
    ],
)
def test_other_arrays_are_refused(array, message):
    with pytest.raises(ValueError, match=message):
        ArrayStore({"a": array}).get("a", 2)
    with pytest.raises(ValueError, match="no array"):
        ArrayStore({}).get("a", 2)
