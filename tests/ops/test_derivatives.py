"""The kernels' surrogate derivatives against the definition's, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numba.extending import register_jitable

from spikeformer.ops.derivatives import DERIVATIVES, exp2_of_negative
from spikeformer.ops.surrogates import SURROGATES
from tests.ops.test_formats import elementwise


def test_exp2_is_accurate_to_3e_6():
    x = np.concatenate([np.linspace(-124, 0, 100_001), -np.logspace(-30, 1, 1000)])
    x = x.astype(np.float32)
    result = np.empty_like(x)
    elementwise(exp2_of_negative)(x, result)
    np.testing.assert_allclose(result, np.exp2(x.astype(np.float64)), rtol=3e-6)
    assert result[100_000] == 1.0


def test_exp2_stays_finite_far_below_zero():
    x = np.array([-125.5, -1e4, -np.inf], np.float32)
    result = np.empty_like(x)
    elementwise(exp2_of_negative)(x, result)
    assert np.all((result >= 0) & (result < 1e-37))


@pytest.mark.parametrize("name", ["sigmoid", "erf"])
def test_approximated_derivatives_are_accurate_to_1e_5(name):
    surrogate, slope = SURROGATES[name], np.float32(2.5)
    code = DERIVATIVES[surrogate.code]
    x = np.linspace(-3, 3, 20_001, dtype=np.float32)
    result = np.empty_like(x)
    elementwise(register_jitable(lambda distance: code(distance, slope)))(x, result)
    expected = surrogate.derivative(torch.from_numpy(x).double(), slope.item())
    np.testing.assert_allclose(result, expected.numpy(), rtol=1.2e-5)
