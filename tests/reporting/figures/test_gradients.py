from __future__ import annotations

import math

import numpy as np
import pytest

from spikeformer.error_handling import ArgumentError
from spikeformer.reporting.figures import plot_gradients


def test_the_colour_is_that_of_the_logarithm():
    norms = {"net.a": [1.0, 0.1], "net.b": [0.01, math.nan], "net.c": [0.0, 0.1]}
    (axes,) = plot_gradients(norms, [3, 4]).axes
    alpha = axes.images[0].get_array()[..., 3]
    np.testing.assert_allclose(alpha, [[1, 0.54], [0.08, 0], [0, 0.54]])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["3", "4"]
    assert [text.get_text() for text in axes.texts] == ["0.1", "0.1"]  # NaN is not written


def test_equal_norms_have_the_full_colour():
    (axes,) = plot_gradients({"a": [0.5]}, [0]).axes
    assert axes.images[0].get_array()[0, 0, 3] == 1


@pytest.mark.parametrize("norms", [{"a": [1.0, 2.0]}, {"a": [math.nan]}, {"a": [0.0]}, {}])
def test_nothing_to_draw_is_refused(norms):
    with pytest.raises(ArgumentError, match="norms"):
        plot_gradients(norms, [0])
