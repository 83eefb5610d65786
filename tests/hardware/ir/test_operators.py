"""Every operator is its matrix, whatever structure it keeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from spikeformer.hardware.ir.operators import Convolution, Sparse, TokenLinear, with_weights
from spikeformer.hardware.ir.sums import TokenSum


def draw(shape, *, zeros=0.3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) * (rng.random(shape) > zeros)


OPERATORS = {
    "tokens": TokenLinear(draw((3, 4)), tokens=5),
    "channels first": TokenLinear(draw((3, 4)), tokens=5, channels_first=True),
    "dense": TokenLinear(draw((3, 4))),
    "convolution": Convolution(draw((4, 2, 3, 3)), (2, 5, 7), (2, 1), (1, 0)),
    "one pixel": Convolution(draw((2, 1, 3, 3)), (1, 1, 1), (1, 1), (1, 1)),
    "uncovered edge": Convolution(draw((2, 3, 2, 2)), (3, 6, 5), (3, 2), (0, 0)),
    "depthwise tokens": Convolution(
        draw((4, 1, 3, 3)), (4, 6, 5), (1, 1), (1, 1), groups=4, tokens_out=True
    ),
    "grouped": Convolution(draw((6, 2, 1, 3)), (4, 3, 5), (1, 2), (0, 1), groups=2),
    "sparse": Sparse(sparse.csr_array(draw((6, 5), zeros=0.7))),
    "sum of tokens": TokenSum(draw((3, 4)), tokens=5),
    "empty": Sparse(sparse.csr_array((3, 2))),
}
every = pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)


@every
def test_apply_multiplies_with_the_matrix(operator):
    x = np.random.default_rng(1).normal(size=(2, 3, operator.shape[1]))
    matrix = operator.matrix()
    assert matrix.shape == operator.shape
    assert (matrix.data != 0).all()
    np.testing.assert_allclose(operator.apply(x), x @ matrix.toarray().T, atol=1e-12)


@every
def test_synapses_are_counted_on_both_sides(operator):
    there = operator.matrix().toarray() != 0
    np.testing.assert_array_equal(operator.fan_in(), there.sum(axis=1))
    np.testing.assert_array_equal(operator.fan_out(), there.sum(axis=0))
    assert operator.num_synapses == there.sum()


@every
@pytest.mark.parametrize("varied", [False, True])
def test_scaled_rows(operator, varied):
    rng = np.random.default_rng(2)
    factor = rng.uniform(1, 2, operator.shape[0]) if varied else np.array(1.5)
    scaled = operator.scale_rows(factor).matrix().toarray()
    rows = np.broadcast_to(factor, (operator.shape[0],))
    np.testing.assert_allclose(scaled, rows[:, None] * operator.matrix().toarray())


def test_scaling_channels_keeps_the_structure():
    convolution = OPERATORS["convolution"]
    positions = int(np.prod(convolution.grid))
    by_channel = np.repeat(np.arange(1.0, 5), positions)
    assert isinstance(convolution.scale_rows(by_channel), Convolution)
    tokens = OPERATORS["tokens"]
    assert isinstance(tokens.scale_rows(np.tile([1.0, 2, 3], 5)), TokenLinear)


@every
def test_new_weights_in_the_old_structure(operator):
    doubled = with_weights(operator, 2 * operator.weights)
    assert type(doubled) is type(operator)
    np.testing.assert_allclose(doubled.matrix().toarray(), 2 * operator.matrix().toarray())


@given(
    channels=st.sampled_from([(1, 1, 1), (2, 4, 2), (3, 2, 1)]),
    size=st.tuples(st.integers(3, 6), st.integers(3, 6)),
    stride=st.integers(1, 3),
    padding=st.integers(0, 1),
)
def test_convolution_is_torchs(channels, size, stride, padding):
    into, out, groups = channels
    weights = torch.randn(out, into // groups, 3, 3, dtype=torch.float64)
    image = torch.randn(2, into, *size, dtype=torch.float64)
    expected = torch.nn.functional.conv2d(image, weights, None, stride, padding, 1, groups)
    operator = Convolution(
        weights.numpy(), (into, *size), (stride, stride), (padding, padding), groups
    )
    assert operator.grid == tuple(expected.shape[2:])
    got = operator.matrix() @ image.flatten(1).numpy().T
    np.testing.assert_allclose(got.T, expected.flatten(1).numpy(), atol=1e-12)


@every
def test_inputs_that_reach_a_range_of_outputs(operator):
    if isinstance(operator, Convolution):  # as if no weight were zero
        operator = with_weights(operator, np.ones_like(operator.weights))
    there = operator.matrix().toarray() != 0
    for first in range(0, len(there), 3):
        for last in range(first + 1, len(there) + 1, 4):
            expected = np.flatnonzero(there[first:last].any(axis=0))
            np.testing.assert_array_equal(operator.reaching(first, last), expected)
