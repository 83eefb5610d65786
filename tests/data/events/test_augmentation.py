"""Augmentation of event frames."""

from __future__ import annotations

import math

import pytest
import torch

from spikeformer.data.events import EventAugmentation
from spikeformer.error_handling import ArgumentError

LABELS = torch.arange(64) % 3


def events(batch: int = 64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(1, 4, (batch, 6, 2, 9, 8), generator=generator).float()


def augmented(x: torch.Tensor, seed: int = 0, **options):
    generator = torch.Generator().manual_seed(seed)
    return EventAugmentation(**options)(x, LABELS[: len(x)], 3, generator)


def test_nothing_is_changed_unless_asked_for():
    x = events()
    found, labels = augmented(x)
    assert found is x
    assert labels.equal(LABELS)


def test_all_steps_of_a_sample_move_together():
    x = torch.zeros(64, 6, 2, 9, 8)
    x[..., 4, 4] = 1
    found, _ = augmented(x, max_shift=2)
    places = found.flatten(3).argmax(dim=3)
    assert (places == places[:, :1, :1]).all()
    assert len(places[:, 0, 0].unique()) > 10
    assert found.sum() == x.sum()


def test_rolled_samples_lose_nothing():
    x = events()
    found, _ = augmented(x, roll=2)
    moves = set()
    for before, after in zip(x, found, strict=True):
        same = [
            (dy, dx)
            for dy in range(-2, 3)
            for dx in range(-2, 3)
            if torch.equal(before.roll((dy, dx), (2, 3)), after)
        ]
        assert len(same) == 1
        moves.add(same[0])
    assert len(moves) > 15
    line = x[:, :, :, :1]
    assert torch.equal(augmented(line, roll=3)[0].sum(dim=4), line.sum(dim=4))


def test_half_of_the_samples_are_mirrored():
    x = events()
    found, _ = augmented(x, horizontal_flip=True)
    same = (found == x).flatten(1).all(dim=1)
    mirrored = (found == x.flip(-1)).flatten(1).all(dim=1)
    assert (same ^ mirrored).all()
    assert 16 < mirrored.sum() < 48


def middle(picture: torch.Tensor, value: float) -> torch.Tensor:
    """Row and column of the middle of the pixels of a value, from the middle of 21 by 31."""
    return (picture == value).nonzero().float().mean(dim=0) - torch.tensor([10.0, 15.0])


def test_some_samples_are_turned_sheared_or_scaled_alike_in_all_steps():
    x = torch.zeros(300, 3, 2, 21, 31)
    x[..., 9:12, 24:27] = 1  # ten pixels to the right of the middle
    x[..., 2:5, 14:17] = 2  # seven above it
    generator = torch.Generator().manual_seed(0)
    labels = torch.zeros(300).long()
    found, _ = EventAugmentation(geometric=0.9)(x, labels, 3, generator)
    assert (found == found[:, :1, :1]).all()
    changed = (found != x).flatten(1).any(dim=1)
    assert 150 < changed.sum() < 285
    turned = sheared = scaled = 0
    for one in found[changed, 0, 0]:
        right, above = middle(one, 1), middle(one, 2)
        if right[0].abs() > 0.6:  # turned: both are, about as far from the middle as before
            turned += 1
            assert right.norm() == pytest.approx(10, abs=1)
            assert torch.atan2(*right).abs() < math.radians(20)
        elif above[1].abs() > 0.6:  # sheared: rows stay where they are
            sheared += 1
            assert above[0] == pytest.approx(-7, abs=0.6)
            assert above[1].abs() < 7 * 0.27 + 1
        else:
            scaled += 1
            assert 7.5 < right[1] < 13
    assert min(turned, sheared, scaled) > 20, (turned, sheared, scaled)


def test_dropping_empties_steps_boxes_or_single_values():
    x = events(300)[:, :, :, :, :]
    generator = torch.Generator().manual_seed(0)
    found, _ = EventAugmentation(drop=0.9)(x, torch.zeros(300).long(), 3, generator)
    gone = found == 0
    assert (found == x)[~gone].all()
    untouched = ~gone.flatten(1).any(dim=1)
    assert 10 < untouched.sum() < 60
    kinds = {"time": 0, "box": 0, "single": 0}
    for one in gone[~untouched]:
        steps = one.flatten(1).all(dim=1)
        pixels = one.all(dim=0).all(dim=0)
        if steps.any() and (one.flatten(1).any(dim=1) == steps).all():
            kinds["time"] += 1
            run = steps.nonzero().flatten()
            assert run[-1] - run[0] + 1 == len(run) <= 6
        elif pixels.any() and (one == pixels).all():
            kinds["box"] += 1
            rows, columns = pixels.any(dim=1).sum(), pixels.any(dim=0).sum()
            assert pixels.sum() == rows * columns
            assert 1 <= rows <= 3
            assert 1 <= columns <= 3
        else:
            kinds["single"] += 1
            assert 0.02 < one.float().mean() < 0.98
    assert min(kinds.values()) > 50, kinds


def test_cut_mix_takes_a_stretch_of_time_and_its_share_of_the_target():
    x, seen = events(), set()
    for seed in range(20):
        found, targets = augmented(x, seed, time_cutmix=1.0)
        changed = (found != x).flatten(2).any(dim=2).any(dim=0)
        steps = changed.nonzero().flatten()
        share = len(steps) / 6
        seen.add(len(steps))
        if len(steps):
            assert steps[-1] - steps[0] + 1 == len(steps)
        own = targets[torch.arange(64), LABELS]
        assert torch.allclose(targets.sum(dim=1), torch.ones(64))
        assert (own > 1 - share - 1e-6).all()
        assert own.min() < 1 - share + 1e-6
    assert len(seen) > 3


def test_cut_mix_of_some_batches_gives_weights_in_all():
    targets = [augmented(events(), seed, time_cutmix=0.3)[1] for seed in range(20)]
    assert all(t.shape == (64, 3) for t in targets)
    whole = sum(bool((t.max(dim=1).values == 1).all()) for t in targets)
    assert 8 < whole < 20


@pytest.mark.parametrize(
    "options",
    [
        {"max_shift": -1},
        {"roll": -1},
        {"drop": 1.5},
        {"drop": -0.1},
        {"geometric": 1.1},
        {"time_cutmix": 2.0},
    ],
)
def test_wrong_arguments_are_refused(options):
    with pytest.raises(ArgumentError):
        EventAugmentation(**options)
