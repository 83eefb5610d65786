"""Augmentation of single events, before they become frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from spikeformer.data.datasets import TensorBatches
from spikeformer.data.events.recordings import Array, Recordings
from spikeformer.data.events.representation import Representation
from spikeformer.data.sampling import derive_seed
from spikeformer.error_handling import check_interval

LEAST, LARGEST = 0.1, 0.9
"""Shares of the events, or of the time, that are dropped."""
SIDES = (0.1, 0.3)
"""Sides of the box that is emptied, in sides of the sensor."""


def drop_events(
    recordings: Recordings, probability: float, random: np.random.Generator
) -> Recordings:
    r"""Drop events from a share of the recordings: EventDrop.

    Each recording is left as it is, or one of three befalls it, by lot. With U a number drawn
    uniformly, D the recording's duration, and t_i counted from its first event:

    - by time: events with `a <= t_i / D < a + s` go, s = U(0.1, 0.9), a = U(0, 1 - s);
    - by area: events in a box go, its height U(0.1, 0.3) of the rows and its width likewise of the
      columns, rounded up, anywhere on the sensor;
    - at random: each event goes with one and the same probability U(0.1, 0.9).

    Args:
        recordings: Those of a batch.
        probability: Share of the recordings that one of the three befalls; 0.75 makes each as
            frequent as leaving the recording as it is.
        random: The only randomness.

    Raises:
        ArgumentError: The probability is outside its range.

    Source: Gu et al., *EventDrop*, IJCAI 2021, arXiv:2106.05836.
    """
    check_interval("probability", probability, 0, 1)
    which, count = recordings.which, len(recordings)
    how = random.random(count)
    share = random.uniform(LEAST, LARGEST, count)
    first = random.random(count) * (1 - share)
    time = _relative(recordings)
    by_time = (time >= first[which]) & (time < (first + share)[which])
    by_area = np.ones(len(which), bool)
    for place, size in ((recordings.y, recordings.height), (recordings.x, recordings.width)):
        side = np.ceil(random.uniform(*SIDES, count) * size)
        start = np.floor(random.random(count) * (size - side + 1))
        by_area &= (place >= start[which]) & (place < (start + side)[which])
    at_random = random.random(len(which)) < share[which]
    lot, third = how[which], probability / 3
    gone = np.where(lot < third, by_time, np.where(lot < 2 * third, by_area, at_random))
    return recordings.where(~gone | (lot >= probability))


def cut_mix_in_time(
    recordings: Recordings, targets: Tensor, random: np.random.Generator
) -> tuple[Recordings, Tensor]:
    r"""Replace the events of a stretch of time by those of another recording of the batch.

    The stretch has the share s = U(0, 1) of the time and begins at a = U(0, 1 - s), both the same
    for the batch. Of recording n the events outside of `a <= t_i / D < a + s` stay; of its partner
    m those inside come, at `t_j D_n / D_m`. The target becomes (1 - s) of its own and s of the
    partner's.

    Args:
        recordings: Those of a batch.
        targets: Class weights, (recordings, classes).
        random: The only randomness.

    Source: Yun et al., *CutMix*, 2019, arXiv:1905.04899, with a stretch of time as the region.
    """
    order = random.permutation(len(recordings))
    share = random.random()
    first = random.random() * (1 - share)
    time = _relative(recordings)
    inside = (time >= first) & (time < first + share)
    kept = recordings.where(~inside)
    # Of the partners, in the order of the recordings that they join.
    given = recordings.where(inside)
    given = Recordings.join([given[m : m + 1] for m in order])
    begins, durations = recordings.begins, recordings.durations
    which = given.which
    since = (given.t - begins[order][which]) / durations[order].clip(min=1)[which]
    moved = begins[which] + np.rint(since * durations[which]).astype(np.int64)
    mixed = [
        Recordings.of(
            *(
                np.concatenate([getattr(kept, name)[own], column[others]])
                for name, column in zip("xytp", (given.x, given.y, moved, given.p), strict=True)
            ),
            height=recordings.height,
            width=recordings.width,
        )
        for own, others in zip(_parts(kept), _parts(given), strict=True)
    ]
    return Recordings.join(mixed), torch.lerp(targets, targets[torch.from_numpy(order)], share)


def _relative(recordings: Recordings) -> Array:
    """Return t_i / D of each event, from 0 to 1."""
    which = recordings.which
    since: Array = recordings.t - recordings.begins[which]
    return since / recordings.durations.clip(min=1)[which]


def _parts(recordings: Recordings) -> list[slice]:
    return [slice(a, b) for a, b in zip(recordings.starts, recordings.ends, strict=True)]


class RecordingBatches(TensorBatches):
    """Frames in memory, which in training are made anew from changed events.

    Args:
        frames: (samples, timesteps, channels, height, width), unchanged.
        targets: Classes, (samples,).
        recordings: The events that the frames were made of.
        represent: Makes frames.
        drop: Probability of `drop_events` for a sample.
        time_cutmix: Probability of `cut_mix_in_time` for a batch; above 0 the targets of training
            batches are class weights.
        classes: Returns the number of classes.
        seeds: Returns the numbers that a training batch's randomness depends on beside its
            samples, or None while nothing is trained.
    """

    def __init__(
        self,
        frames: Tensor,
        targets: Tensor,
        recordings: Recordings,
        represent: Representation,
        *,
        drop: float,
        time_cutmix: float,
        classes: Callable[[], int],
        seeds: Callable[[], tuple[int, ...] | None],
    ) -> None:
        super().__init__(frames, targets, unit=1.0)
        self.recordings, self.represent = recordings, represent
        self.drop, self.time_cutmix = drop, time_cutmix
        self.classes, self.seeds = classes, seeds

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return `(frames, targets)` of `indices`."""
        seeds = self.seeds()
        if seeds is None:
            return super().__getitems__(indices)
        random = np.random.default_rng(derive_seed(*seeds, *indices))
        chosen = Recordings.join([self.recordings[i : i + 1] for i in indices])
        targets = self.targets[torch.as_tensor(indices)]
        if self.drop:
            chosen = drop_events(chosen, self.drop, random)
        if self.time_cutmix:
            targets = torch.nn.functional.one_hot(targets, self.classes()).float()
            if random.random() < self.time_cutmix:
                chosen, targets = cut_mix_in_time(chosen, targets, random)
        return self.represent(chosen).float(), targets
