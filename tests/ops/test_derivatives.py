"""The exponential inside the kernels' surrogate derivatives, against NumPy's in float64."""

from __future__ import annotations

import numpy as np

from spikeformer.ops.derivatives import exp_of_negative
from tests.ops.test_formats import elementwise


def test_exp_is_accurate_to_float32():
    x = np.concatenate([np.linspace(-86, 0, 100_001), -np.logspace(-30, 1, 1000)])
    x = x.astype(np.float32)
    result = np.empty_like(x)
    elementwise(exp_of_negative)(x, result)
    np.testing.assert_allclose(result, np.exp(x.astype(np.float64)), rtol=2.5e-7)
    assert result[100_000] == 1.0


def test_exp_stays_finite_far_below_zero():
    x = np.array([-87.5, -1e4, -np.inf], np.float32)
    result = np.empty_like(x)
    elementwise(exp_of_negative)(x, result)
    assert np.all((result >= 0) & (result < 1e-37))
