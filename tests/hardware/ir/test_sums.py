"""A layer behind a mean over tokens is stored once; all else becomes a matrix."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeformer.hardware import lower
from spikeformer.hardware.ir.operators import Sparse, TokenLinear
from spikeformer.hardware.ir.sums import TokenSum, after
from tests.hardware.networks import vit

RNG = np.random.default_rng(0)
LAYER = TokenLinear(RNG.normal(size=(3, 4)))
MEAN = TokenLinear(np.full((1, 5), 0.2), tokens=4, channels_first=True)


@pytest.mark.parametrize(
    ("inner", "kind"),
    [
        (MEAN, TokenSum),
        (TokenLinear(RNG.normal(size=(1, 5)), tokens=4, channels_first=True), Sparse),
        (TokenLinear(np.full((1, 5), 0.2), tokens=4), Sparse),
        (TokenLinear(np.ones((2, 5)), tokens=2, channels_first=True), Sparse),
    ],
)
def test_layer_after_another(inner, kind):
    found = after(LAYER, inner)
    assert type(found) is kind
    expected = LAYER.matrix().toarray() @ inner.matrix().toarray()
    np.testing.assert_allclose(found.matrix().toarray(), expected)


def test_a_networks_readout_is_stored_once():
    torch.manual_seed(0)
    ((_, operator),) = lower(vit(), (1, 6, 6)).graph.readout.terms
    assert isinstance(operator, TokenSum)
    assert operator.weights.shape == (3, 8)
