"""Augmentation of event frames."""

from __future__ import annotations

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


def test_half_of_the_samples_are_mirrored():
    x = events()
    found, _ = augmented(x, horizontal_flip=True)
    same = (found == x).flatten(1).all(dim=1)
    mirrored = (found == x.flip(-1)).flatten(1).all(dim=1)
    assert (same ^ mirrored).all()
    assert 16 < mirrored.sum() < 48


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
    "options", [{"max_shift": -1}, {"drop": 1.5}, {"drop": -0.1}, {"time_cutmix": 2.0}]
)
def test_wrong_arguments_are_refused(options):
    with pytest.raises(ArgumentError):
        EventAugmentation(**options)
