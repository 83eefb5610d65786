"""What replaces loops of sPyNNaker, against those loops."""

from __future__ import annotations

import numpy as np
import pytest

from spikeformer.hardware.targets.spinnaker.worker.machine import split_into_rows


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_split_into_rows_equals_spynnakers(rows):
    rng = np.random.default_rng(rows)
    index = rng.integers(0, max(rows - 1, 1), size=50 if rows else 0).astype(np.uint32)
    data = rng.integers(0, 255, (len(index), 4), dtype=np.uint8)
    expected = [data[index == row][:5].reshape(-1) for row in range(rows)]
    found = split_into_rows(None, index, rows, data, 5)
    assert len(found) == rows
    for row, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(row, wanted)
