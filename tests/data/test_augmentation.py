from __future__ import annotations

import pytest
import torch

from spikeformer.data import random_mask, random_shift


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_shift_is_a_zero_filled_move_of_each_image():
    images = torch.rand(40, 2, 5, 7) + 0.1
    moved = random_shift(images, 2, 1, generator())
    assert moved.shape == images.shape
    offsets = set()
    for before, after in zip(images, moved, strict=True):
        fits = []
        for down in range(-2, 3):
            for right in range(-1, 2):
                expected = torch.zeros_like(before)
                rows = slice(max(down, 0), 5 + min(down, 0))
                columns = slice(max(right, 0), 7 + min(right, 0))
                from_rows = slice(max(-down, 0), 5 + min(-down, 0))
                from_columns = slice(max(-right, 0), 7 + min(-right, 0))
                expected[:, rows, columns] = before[:, from_rows, from_columns]
                if torch.equal(expected, after):
                    fits.append((down, right))
        assert len(fits) == 1
        offsets.update(fits)
    assert len(offsets) > 10


def test_no_shift_is_the_identity():
    images = torch.rand(3, 1, 4, 4)
    assert torch.equal(random_shift(images, 0, 0, generator()), images)


@pytest.mark.parametrize("axis", [2, 3])
def test_mask_blanks_one_stripe_of_bounded_width(axis):
    images = torch.ones(200, 1, 6, 9)
    masked = random_mask(images, axis, 3, generator())
    blank = (masked == 0).all(dim=(1, 5 - axis))
    assert torch.equal(blank, (masked == 0).any(dim=(1, 5 - axis)))
    widths = blank.sum(1)
    assert set(widths.tolist()) == {0, 1, 2, 3}
    # One stripe: at most two changes between blank and kept along the axis.
    edges = torch.nn.functional.pad(blank.int(), (1, 1)).diff(dim=1).abs().sum(1)
    assert edges.max() == 2
    # Both ends can be reached.
    assert blank[:, 0].any()
    assert blank[:, -1].any()


def test_same_generator_state_same_result():
    images = torch.rand(8, 1, 8, 8)
    first = random_shift(images, 2, 2, generator(5))
    assert torch.equal(first, random_shift(images, 2, 2, generator(5)))
    assert not torch.equal(first, random_shift(images, 2, 2, generator(6)))
