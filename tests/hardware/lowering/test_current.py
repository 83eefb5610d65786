"""Affine functions of spikes, against dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from spikeformer.hardware.ir.operators import Convolution, Sparse, TokenLinear
from spikeformer.hardware.lowering.current import Current, compose, permutation, take_rows

RNG = np.random.default_rng(0)
SPIKES = {"a": (RNG.random(6) < 0.5).astype(float), "b": (RNG.random(4) < 0.5).astype(float)}


def reorder(order):
    return Sparse(sparse.csr_array(np.eye(len(order))[order]))


def value(current):
    """Evaluate a current at `SPIKES`."""
    terms = (op.matrix() @ SPIKES[name] for name, op in current.terms.items())
    return sum(terms, current.bias)


@pytest.fixture
def current():
    terms = {
        "a": TokenLinear(RNG.normal(size=(2, 2)), 3),
        "b": TokenLinear(RNG.normal(size=(6, 4))),
    }
    return Current(terms, RNG.normal(size=6), constant=False)


def test_current_of_a_population_is_its_spikes():
    spikes = Current.of("a", 6, constant=False)
    np.testing.assert_array_equal(value(spikes), SPIKES["a"])
    assert spikes.is_binary
    assert not spikes.shift(0.5).is_binary
    assert not spikes.scale(2.0).is_binary
    assert not spikes.add(spikes).is_binary
    assert not Current.of("a", 6, constant=True).is_binary


def test_current_arithmetic(current):
    other = Current.of("a", 6, constant=True)
    before = value(current)
    np.testing.assert_allclose(value(current.add(other)), before + SPIKES["a"])
    assert not current.add(other).constant
    np.testing.assert_allclose(value(current.scale(-2.0)), -2 * before)
    factor = RNG.normal(size=6)
    np.testing.assert_allclose(value(current.scale(factor)), factor * before)
    np.testing.assert_allclose(value(current.shift(factor)), factor + before)
    layer = TokenLinear(RNG.normal(size=(5, 6)))
    np.testing.assert_allclose(value(current.map(layer)), layer.weights @ before)


def test_current_take_gives_features_in_that_order(current):
    index = np.array([5, 0, 0, 3])
    np.testing.assert_allclose(value(current.take(index)), value(current)[index])
    assert current.take(np.arange(6)) is current
    alone = Current.of("a", 6, constant=False).add(Current.of("a", 6, constant=False))
    assert alone.take(np.array([2])).size == 1


def test_current_take_drops_a_population_without_weights_left():
    half = Sparse(sparse.csr_array(np.diag([1.0, 1.0, 0.0, 0.0])))
    both = Current({"b": half}, np.zeros(4), constant=False)
    assert list(both.take(np.array([2, 3])).terms) == []
    assert list(both.take(np.array([1])).terms) == ["b"]


def test_permutation_recognises_pure_reorderings():
    order = np.array([2, 0, 1])
    assert permutation(reorder(order)).tolist() == [2, 0, 1]
    assert permutation(reorder(np.array([0, 0, 1]))) is None  # one twice
    assert permutation(Sparse(sparse.csr_array(np.eye(3) * 2))) is None
    assert permutation(Sparse(sparse.csr_array(np.eye(3)[:2]))) is None
    assert permutation(TokenLinear(np.eye(3))) is None


def test_compose_keeps_the_form_of_a_token_layer_behind_a_transpose():
    outer = TokenLinear(RNG.normal(size=(4, 3)), 5)
    channels_first = np.arange(15).reshape(3, 5).T.ravel()
    for order in (np.arange(15), channels_first, RNG.permutation(15)):
        inner = reorder(order)
        found = compose(outer, inner)
        np.testing.assert_allclose(
            found.matrix().toarray(), (outer.matrix() @ inner.matrix()).toarray()
        )
        structured = (order == channels_first).all() or (order == np.arange(15)).all()
        assert isinstance(found, TokenLinear) == structured


def test_take_rows_keeps_the_form_of_a_convolution_behind_a_transpose():
    conv = Convolution(RNG.normal(size=(3, 2, 2, 2)), (2, 4, 4))
    size = conv.shape[0]
    tokens = np.arange(size).reshape(3, -1).T.ravel()
    found = take_rows(conv, tokens)
    assert isinstance(found, Convolution)
    np.testing.assert_allclose(found.matrix().toarray(), conv.matrix().toarray()[tokens])
    back = take_rows(found, np.arange(size).reshape(-1, 3).T.ravel())
    assert isinstance(back, Convolution)
    np.testing.assert_allclose(back.matrix().toarray(), conv.matrix().toarray())
    some = take_rows(conv, np.array([4, 1]))
    np.testing.assert_allclose(some.matrix().toarray(), conv.matrix().toarray()[[4, 1]])
