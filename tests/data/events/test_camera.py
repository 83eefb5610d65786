"""The simulated camera against what its model says."""

from __future__ import annotations

import numpy as np
import pytest

from spikeformer.data.events import record_saccades
from spikeformer.data.events.camera import DARK
from spikeformer.error_handling import ArgumentError


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((3, 6, 6))


def test_an_even_darkness_sends_nothing():
    dark = record_saccades(np.zeros((2, 4, 4)), size=8)
    assert (len(dark), len(dark.t)) == (2, 0)


def test_what_pixels_sent_is_the_change_that_they_saw(images):
    """Back where it started, a pixel has sent as many events of either sign, but for one."""
    seen = record_saccades(images, size=10, contrast=0.2)
    pixel = (seen.which * 10 + seen.y) * 10 + seen.x
    balance = np.bincount(pixel, np.where(seen.p, 1, -1), minlength=300)
    assert np.abs(balance).max() <= 1
    assert len(seen.t) > 300


def test_an_edge_sends_its_logarithm_over_the_contrast():
    """Between the borders nothing changes; one pixel beside them goes from 0 to 0.9 and back."""
    seen = record_saccades(np.ones((1, 8, 8)), size=12, amplitude=1.0, contrast=0.24)
    assert not ((seen.x > 1) & (seen.x < 10) & (seen.y > 1) & (seen.y < 10)).any()
    edge = seen.p[(seen.x == 0) & (seen.y == 6)]
    brighter = int(np.log((0.9 + DARK) / DARK) / 0.24)
    assert edge.sum() == brighter
    assert edge[:brighter].all()
    assert brighter - 1 <= (~edge).sum() <= brighter


def test_a_finer_contrast_sends_more_and_a_slower_saccade_lasts_longer(images):
    coarse = record_saccades(images, size=8, contrast=0.6)
    fine = record_saccades(images, size=8, contrast=0.15)
    slow = record_saccades(images, size=8, contrast=0.6, saccade_ms=200.0)
    assert (fine.counts > 3 * coarse.counts).all()
    assert coarse.t.max() <= 300_000 < slow.t.max() <= 600_000
    assert coarse.t.min() >= 0
    assert all((np.diff(coarse[i : i + 1].t) >= 0).all() for i in range(3))


def test_each_recording_depends_on_its_image_alone(images):
    together, alone = record_saccades(images, size=8), record_saccades(images[1:2], size=8)
    part = together[1:2]
    for name in "xytp":
        np.testing.assert_array_equal(getattr(part, name), getattr(alone, name))


@pytest.mark.parametrize(
    "arguments",
    [{"size": 0}, {"saccade_ms": 0.0}, {"amplitude": 4.0}, {"amplitude": 0.0}, {"contrast": 0.0}],
)
def test_wrong_arguments_are_refused(images, arguments):
    with pytest.raises(ArgumentError):
        record_saccades(images, **arguments)


def test_only_intensities_are_images(images):
    for wrong in (images * 2, images[0]):
        with pytest.raises(ArgumentError, match="from 0 to 1"):
            record_saccades(wrong)
