"""Augmentation of event frames, with an explicit generator."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from spikeformer.data.augmentation import random_shift
from spikeformer.error_handling import ArgumentError, check_interval

_ANGLE = math.radians(15)
_SCALE = 0.2
_LARGEST = 0.9
"""Largest share of events that are dropped at random, and the smallest of those that stay: 0.1."""


@dataclass(frozen=True)
class EventAugmentation:
    """Changes training batches of (batch, timesteps, channels, height, width).

    In this order:

    - shift: each sample moves by the same whole pixels in all its steps, filled with zeros:
      `F'[k, p, y, x] = F[k, p, y - dy, x - dx]`, dx and dy uniform in -max_shift to max_shift;
    - roll (NDA): the same, with rows and columns modulo the frame's size;
    - flip: half of the samples are mirrored left to right;
    - geometric (after NDA): for a share of the samples one of three, by lot: turned by up to 15
      degrees, sheared by up to 0.27 (15 degrees), or scaled by 0.8 to 1.2, all about the middle and
      alike in all steps, with the nearest pixel;
    - drop (EventDrop): for a share of the samples one of three, by lot: a stretch of 10 to 90 % of
      the steps is emptied, a box of 10 to 30 % of either side is, or every value is by a
      probability of 10 to 90 %;
    - cut-mix in time: for a share of the *batches* a stretch of steps, uniform in place and length,
      is that of another sample; targets become class weights by the share of the steps.

    Args:
        max_shift: Largest move in pixels, each way.
        roll: Largest roll in pixels, each way; NDA has 5.
        horizontal_flip: Whether samples are mirrored.
        geometric: Probability of a turn, a shear or a scaling for a sample.
        drop: Probability of EventDrop for a sample.
        time_cutmix: Probability of cut-mix for a batch.

    Raises:
        ArgumentError: A value is outside its range.

    Source: Gu et al., *EventDrop*, IJCAI 2021, arXiv:2106.05836; here it acts on frames, where the
    paper drops single events, as `spikeformer.data.events.drop_events` does. Li et al.,
    *Neuromorphic Data Augmentation*, ECCV 2022, arXiv:2203.06145. Cut-mix after
    Yun et al., 2019, arXiv:1905.04899.
    """

    max_shift: int = 0
    roll: int = 0
    horizontal_flip: bool = False
    geometric: float = 0.0
    drop: float = 0.0
    time_cutmix: float = 0.0

    def __post_init__(self) -> None:
        for key, pixels in (("max_shift", self.max_shift), ("roll", self.roll)):
            if isinstance(pixels, bool) or pixels < 0:
                raise ArgumentError(key, pixels, "an integer of at least 0")
        check_interval("geometric", self.geometric, 0, 1)
        check_interval("drop", self.drop, 0, 1)
        check_interval("time_cutmix", self.time_cutmix, 0, 1)

    def __call__(
        self, events: Tensor, labels: Tensor, num_classes: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return changed events, and their targets.

        Args:
            events: (batch, timesteps, channels, height, width).
            labels: Classes, (batch,).
            num_classes: Number of classes.
            generator: CPU generator; the only randomness.
        """
        if self.max_shift:
            rows = self.max_shift if events.shape[3] > 1 else 0  # a line has none to move in
            moved = random_shift(events.flatten(1, 2), rows, self.max_shift, generator)
            events = moved.view_as(events)
        if self.roll:
            events = _rolled(events, self.roll, generator)
        if self.horizontal_flip:
            mirrored = _lots(events, generator) < 0.5
            events = torch.where(mirrored, events.flip(-1), events)
        if self.geometric:
            events = _transformed(events, self.geometric, generator)
        if self.drop:
            events = _dropped(events, self.drop, generator)
        if self.time_cutmix:
            return _mixed(events, labels, num_classes, self.time_cutmix, generator)
        return events, labels


def _lots(events: Tensor, generator: torch.Generator) -> Tensor:
    """Return a number from 0 to 1 for each sample, (batch, 1, 1, 1, 1)."""
    return torch.rand(len(events), generator=generator).to(events.device).view(-1, 1, 1, 1, 1)


def _rolled(events: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Roll each sample by the same rows and columns in all steps."""
    lots = torch.randint(-most, most + 1, (2, len(events)), generator=generator)
    for axis, by in zip((3, 4), lots, strict=True):
        size = events.shape[axis]
        place = (torch.arange(size) - by[:, None]).remainder(size).to(events.device)
        shape = [len(events), 1, 1, 1, 1]
        shape[axis] = size
        events = events.gather(axis, place.view(shape).expand_as(events))
    return events


def _transformed(events: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Turn, shear or scale some of the samples; every step of one alike."""
    how, amount = torch.rand(2, len(events), generator=generator)
    how, amount = how / probability, 2 * amount - 1
    angle = _ANGLE * amount * (how < 1 / 3)
    shear = math.tan(_ANGLE) * amount * ((how >= 1 / 3) & (how < 2 / 3))
    scale = 1 + _SCALE * amount * ((how >= 2 / 3) & (how < 1))
    # Rows and columns of what a pixel of the result shows, in units of half a frame.
    height, width = events.shape[-2:]
    cosine, sine, nothing = angle.cos() / scale, angle.sin() / scale, torch.zeros(len(events))
    across = torch.stack([cosine, (shear - sine) * height / width, nothing], dim=1)
    down = torch.stack([sine * width / height, cosine, nothing], dim=1)
    matrix = torch.stack([across, down], dim=1).to(events)
    frames = events.flatten(1, 2)
    grid = torch.nn.functional.affine_grid(matrix, list(frames.shape), align_corners=False)
    moved = torch.nn.functional.grid_sample(frames, grid, mode="nearest", align_corners=False)
    return moved.view_as(events)


def _dropped(events: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    batch, steps, channels, height, width = events.shape
    how, share = _lots(events, generator) / probability, _lots(events, generator)
    in_time = _stretch(events, steps, 1, 0.1, _LARGEST, generator)
    in_box = _stretch(events, height, 3, 0.1, 0.3, generator)
    in_box = in_box & _stretch(events, width, 4, 0.1, 0.3, generator)
    lots = torch.rand(batch, steps, channels, height, width, generator=generator)
    at_random = lots.to(events.device) < 0.1 + (_LARGEST - 0.1) * share
    gone = torch.where(how < 1 / 3, in_time, torch.where(how < 2 / 3, in_box, at_random))
    return events.masked_fill(gone & (how < 1), 0)


def _stretch(
    events: Tensor, length: int, axis: int, least: float, most: float, generator: torch.Generator
) -> Tensor:
    """Return where a random stretch of an axis lies, True along it and 1 elsewhere."""
    size = ((least + (most - least) * _lots(events, generator)) * length).ceil()
    first = (_lots(events, generator) * (length - size + 1)).floor()
    shape = [1] * events.ndim
    shape[axis] = length
    place = torch.arange(length, device=events.device).view(shape)
    return (place >= first) & (place < first + size)


def _mixed(
    events: Tensor, labels: Tensor, num_classes: int, probability: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    weights = torch.nn.functional.one_hot(labels, num_classes).to(events.dtype)
    lot, place, share = torch.rand(3, generator=generator).tolist()
    order = torch.randperm(len(events), generator=generator).to(events.device)
    if lot >= probability:
        return events, weights
    steps = events.shape[1]
    size = round(share * steps)
    first = int(place * (steps - size + 1))
    mixed = events.clone()
    mixed[:, first : first + size] = events[order, first : first + size]
    return mixed, torch.lerp(weights, weights[order], size / steps)
