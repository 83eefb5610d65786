from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from spikeformer.conversion.coding import groups
from spikeformer.conversion.coding.groups import GROUPS, NEURONS

EXACT = {
    "copy": lambda x: x,
    "exp": np.exp,
    "gelu": lambda x: x * special.ndtr(x),
    "reciprocal": lambda x: 1 / x,
    "rsqrt": lambda x: x**-0.5,
}
POSITIVE = np.exp(np.random.default_rng(0).uniform(-30, 30, 5000))
SIGNED = np.random.default_rng(1).uniform(-40, 40, 5000)


@pytest.mark.parametrize("name", ["exp", "reciprocal", "rsqrt"])
def test_functions_of_an_octave_are_off_by_half_a_step(name):
    x = SIGNED if name == "exp" else POSITIVE
    found, exact = GROUPS[name](x), EXACT[name](x)
    shift = np.exp2(np.floor(np.log2(exact)))
    error = np.abs(found - exact) / shift
    assert error.max() <= 0.5 / NEURONS + 1e-9
    assert error.max() > 0.4 / NEURONS  # a finer function would be another one


def test_gelu_is_off_by_half_a_step_of_what_lies_below_relu():
    x = np.concatenate([SIGNED / 5, np.linspace(-6, 6, 4001)])
    error = np.abs(groups.gelu(x) - EXACT["gelu"](x))
    step = 0.16997 / (NEURONS // 2)
    assert 0.4 * step < error.max() < 0.505 * step
    sums = np.unique(np.round(np.maximum(x, 0) - groups.gelu(x), 9))
    np.testing.assert_allclose(np.diff(sums), step, rtol=1e-3)


def test_a_group_adds_up_what_neurons_that_compare_send():
    """The reciprocal of an octave: each neuron takes a step away from its threshold on."""
    m = np.linspace(0.5, 1.0, 999, endpoint=False)
    thresholds = [1 / (1 + (k + 0.5) / NEURONS) for k in range(NEURONS)]
    summed = 2.0 - sum((m >= theta) / NEURONS for theta in thresholds)
    np.testing.assert_allclose(groups.reciprocal(m), summed, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(groups.reciprocal(m * 8), groups.reciprocal(m) / 8)


def test_an_exponential_stops_where_its_shifts_do():
    largest = 2.0**groups.MOST_SHIFT
    found = groups.exp(np.array([-np.finfo(float).max, -np.inf, 1e9]))
    np.testing.assert_array_equal(found, [1 / largest, 1 / largest, largest])
