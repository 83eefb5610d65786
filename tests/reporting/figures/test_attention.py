from __future__ import annotations

import numpy as np
import pytest

from spikeformer.error_handling import ArgumentError
from spikeformer.reporting.figures import plot_attention


def test_tokens_lie_over_the_whole_image():
    rng = np.random.default_rng(0)
    image, share = rng.random((5, 2, 8, 12)), rng.random((2, 3))
    picture, tokens = plot_attention(image, share).axes[0].images
    np.testing.assert_allclose(picture.get_array(), image.mean(axis=(0, 1)))
    assert picture.get_extent() == tokens.get_extent()
    np.testing.assert_allclose(tokens.get_array()[..., 3], 0.8 * share)


@pytest.mark.parametrize(("image", "share"), [((8, 8), (2, 2)), ((1, 8, 8), (4,))])
def test_other_axes_are_refused(image, share):
    with pytest.raises(ArgumentError, match=r"tokens|channels"):
        plot_attention(np.zeros(image), np.zeros(share))
