"""Augmentation of single events."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from spikeformer.data import EventFolderDataModule
from spikeformer.data.events import cut_mix_in_time, drop_events
from spikeformer.error_handling import ArgumentError
from tests.data.events.made import recordings
from tests.data.events.test_clips import module, write
from tests.data.events.test_datamodule import few  # noqa: F401  a fixture
from tests.data.events.test_datamodule import module as digits

COUNT = 400


@pytest.fixture(scope="module")
def many():
    """Recordings of 300 events each, no two of which are alike."""
    return recordings(*[300] * COUNT, height=20, width=30, seed=3)


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def rows(events) -> list[set]:
    """The events of each recording."""
    found = []
    for first, last in zip(events.starts, events.ends, strict=True):
        columns = [getattr(events, name)[first:last].tolist() for name in "tyxp"]
        found.append(set(zip(*columns, strict=True)))
    return found


def is_a_box(gone: set, kept: set) -> bool:
    """Whether no event that is kept lies in the smallest box of those that are gone."""
    (low_y, low_x), (high_y, high_x) = (
        (pick(y for _, y, _, _ in gone), pick(x for _, _, x, _ in gone)) for pick in (min, max)
    )
    inside = any(low_y <= y <= high_y and low_x <= x <= high_x for _, y, x, _ in kept)
    return not inside and high_y - low_y < 6 and high_x - low_x < 9


def test_events_are_dropped_by_time_by_area_or_at_random(many):
    kinds = {"none": 0, "time": 0, "area": 0, "random": 0}
    shares = []
    found = drop_events(many, 0.75, random())
    for before, after in zip(rows(many), rows(found), strict=True):
        assert after <= before
        gone = before - after
        if not gone:
            kinds["none"] += 1
            continue
        first, last = min(t for t, *_ in gone), max(t for t, *_ in gone)
        if not any(first <= t <= last for t, *_ in after):
            kinds["time"] += 1
            assert 0 < last - first < 0.91 * 89_000
        elif is_a_box(gone, after):
            kinds["area"] += 1
        else:
            kinds["random"] += 1
            shares.append(len(gone) / len(before))
    assert all(0.17 * COUNT < number < 0.33 * COUNT for number in kinds.values()), kinds
    assert min(shares) < 0.2
    assert max(shares) > 0.8
    assert np.mean(shares) == pytest.approx(0.5, abs=0.08)


def test_the_share_of_changed_recordings_is_the_probability(many):
    assert rows(drop_events(many, 0.0, random())) == rows(many)
    changed = sum(
        a != b for a, b in zip(rows(many), rows(drop_events(many, 0.3, random())), strict=True)
    )
    # Some boxes are over a place without events, but few.
    assert 0.2 * COUNT < changed < 0.38 * COUNT
    with pytest.raises(ArgumentError):
        drop_events(many, 1.2, random())


def test_recordings_without_events_stay(many):
    one = recordings(4, 0, 3)
    found = drop_events(one, 1.0, random())
    assert len(found) == 3
    assert found.counts[1] == 0


def test_cut_mix_takes_a_stretch_of_the_time_from_another_recording():
    one = recordings(200, 150, 100, height=20, width=30, seed=5)
    weights = torch.eye(3)
    seen = []
    for seed in range(30):
        mixed, targets = cut_mix_in_time(one, weights, random(seed))
        lots = random(seed)
        order, share = lots.permutation(3), lots.random()
        first = lots.random() * (1 - share)
        assert torch.allclose(targets, (1 - share) * weights + share * weights[order])
        seen.append(share)
        before = [sorted(each) for each in rows(one)]
        for n, after in enumerate(rows(mixed)):
            expected = set()
            for source, wanted in ((n, False), (order[n], True)):
                begin, end = before[source][0][0], before[source][-1][0]
                for time, *rest in before[source]:
                    since = (time - begin) / (end - begin)
                    if (first <= since < first + share) == wanted:
                        own = before[n][-1][0] - before[n][0][0]
                        moved = time if source == n else before[n][0][0] + round(since * own)
                        expected.add((moved, *rest))
            assert after == expected
        assert all((np.diff(mixed.t[part]) >= 0).all() for part in (slice(0, mixed.ends[0]),))
    assert max(seen) - min(seen) > 0.7


def trained(data, epoch: int = 0):
    """A batch as a trainer gets it."""
    data.trainer = SimpleNamespace(training=True, current_epoch=epoch)
    batch = data.splits.train.__getitems__(list(range(12)))
    data.trainer = None
    return batch


def test_frames_are_made_anew_in_training_alone(tmp_path):
    write(tmp_path)
    options = {"val_fraction": 0, "augment_events": True}
    plain, data = module(tmp_path, val_fraction=0), module(tmp_path, **options)
    batch = trained(data)  # neither drops nor mixes
    assert torch.equal(batch[0], plain.splits.train.inputs[:12].float())
    data = module(tmp_path, **options, drop=1.0, time_cutmix=1.0)
    frames, targets = data.splits.train.__getitems__(list(range(12)))
    assert torch.equal(frames, plain.splits.train.inputs[:12].float())
    assert torch.equal(targets, plain.splits.train.targets[:12])
    one, two, other = trained(data), trained(data), trained(data, epoch=1)
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])
    assert not torch.equal(one[0], frames)
    assert not torch.equal(one[0], other[0])
    assert one[1].shape == (12, 2)
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(data.augment(one, generator)[0], one[0])


def test_a_sensor_that_is_binned_gives_the_same_frames(tmp_path):
    write(tmp_path)
    options = {"image_size": (2, 3), "sensor_size": None, "augment_events": True}
    data = module(tmp_path, **options)
    assert torch.equal(trained(data)[0], data.splits.train.inputs[:12].float())


def test_digits_keep_their_events(few):  # noqa: F811
    data = digits(augment_events=True, drop=0.5)
    frames = data.splits.train.inputs[:12].float()
    batch, targets = trained(data)
    changed = (batch != frames).flatten(1).any(dim=1)
    assert 0 < changed.sum() < 12
    assert torch.equal(targets, data.splits.train.targets[:12])
    assert type(data.splits.val) is not type(data.splits.train)


def test_loader_processes_are_refused():
    with pytest.raises(ArgumentError, match="augment_events"):
        EventFolderDataModule(path="x", augment_events=True, num_workers=1)
