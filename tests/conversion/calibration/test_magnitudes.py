from __future__ import annotations

import pytest
import torch

from spikeformer.conversion.calibration.magnitudes import Magnitudes


@pytest.mark.parametrize("quantile", [0.9, 0.99, 1.0])
def test_quantiles_of_every_channel(quantile):
    magnitudes = Magnitudes(quantile, num_batches=4)
    batches = [torch.randn(50, 3, 7) for _ in range(4)]
    for batch in batches:
        magnitudes.add("x", batch, (-1,))
    rows = torch.cat(batches).flatten(0, 1).abs()
    expected = torch.quantile(rows, quantile, dim=0, interpolation="nearest")
    assert torch.equal(magnitudes.threshold("x"), expected)


def test_thresholds_broadcast_against_the_activation():
    x = torch.randn(2, 4, 6, 5)
    magnitudes = Magnitudes(1.0)
    for name, axes in {"last": (-1,), "heads": (-3, -1), "keys": (-3, -2), "one": ()}.items():
        magnitudes.add(name, x, axes)
    assert torch.equal(magnitudes.threshold("last"), x.abs().amax((0, 1, 2)))
    assert torch.equal(magnitudes.threshold("heads"), x.abs().amax((0, 2), keepdim=True)[0])
    assert torch.equal(magnitudes.threshold("keys"), x.abs().amax((0, 3), keepdim=True)[0])
    assert torch.equal(magnitudes.threshold("one"), x.abs().max())


def test_an_axis_whose_length_changes_has_one_threshold():
    magnitudes = Magnitudes(1.0)
    first, second = torch.randn(2, 5), torch.randn(3, 4)
    magnitudes.add("x", first, (-1,))
    magnitudes.add("x", second, (-1,))
    magnitudes.add("x", first, (-1,))
    assert magnitudes.threshold("x") == max(first.abs().max(), second.abs().max())
