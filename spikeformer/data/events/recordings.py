"""Recordings of event cameras and silicon cochleas, many in one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spikeformer.error_handling import ArgumentError, check_positive_int

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Recordings:
    """Events of several recordings, one recording after the other, each in the order of time.

    Attributes:
        x: Columns, (events,) int.
        y: Rows, (events,) int; the first row is the upper one.
        t: Times in µs, (events,) int64.
        p: Polarities, (events,) bool: brighter is True, darker False. Sensors without polarity
            send True.
        ends: Where each recording ends, (recordings,) int64.
        height: Rows of the sensor.
        width: Columns of the sensor.

    Raises:
        ArgumentError: Lengths differ, an event lies outside of the sensor, or `ends` do not fit.

    Example:
        >>> one = Recordings.of([3, 0], [1, 1], [10, 250], [True, False], height=2, width=4)
        >>> len(one), one.counts.tolist(), one.durations.tolist()
        (1, [2], [240])
    """

    x: Array
    y: Array
    t: Array
    p: Array
    ends: Array
    height: int
    width: int

    def __post_init__(self) -> None:
        check_positive_int("height", self.height)
        check_positive_int("width", self.width)
        lengths = {len(self.x), len(self.y), len(self.t), len(self.p)}
        if len(lengths) > 1:
            raise ArgumentError("events", sorted(lengths), "as many x as y, t and p")
        fits = not len(self.ends) or (
            self.ends[-1] == len(self.t) and self.ends[0] >= 0 and (np.diff(self.ends) >= 0).all()
        )
        if not fits or (len(self.t) and not len(self.ends)):
            raise ArgumentError("ends", self.ends.tolist()[-3:], f"ascending to {len(self.t)}")
        for name, places, size in (("x", self.x, self.width), ("y", self.y, self.height)):
            if len(places) and not (places.min() >= 0 and places.max() < size):
                found = f"{places.min()} to {places.max()}"
                raise ArgumentError(name, found, f"from 0 to {size - 1}, as the sensor has")

    @classmethod
    def of(cls, x: Any, y: Any, t: Any, p: Any, *, height: int, width: int) -> Recordings:
        """Return one recording; events in another order are sorted by time, stably."""
        t = np.asarray(t, np.int64)
        columns = [np.asarray(x), np.asarray(y), t, np.asarray(p, bool)]
        if len({len(column) for column in columns}) == 1 and (np.diff(t) < 0).any():
            order = np.argsort(t, kind="stable")
            columns = [column[order] for column in columns]
        x, y, t, p = columns
        return cls(x, y, t, p, np.array([len(t)]), height, width)

    @classmethod
    def join(cls, parts: Sequence[Recordings]) -> Recordings:
        """Return the recordings of several as one; all are of sensors of one size."""
        sizes = {(part.height, part.width) for part in parts}
        if len(sizes) != 1:
            raise ArgumentError("parts", sorted(sizes), "recordings of sensors of one size")
        ((height, width),) = sizes
        x, y, t, p = (np.concatenate([getattr(part, name) for part in parts]) for name in "xytp")
        counts = np.concatenate([part.counts for part in parts])
        return cls(x, y, t, p, np.cumsum(counts), height, width)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, chosen: slice) -> Recordings:
        """Return consecutive recordings."""
        start, stop, _ = chosen.indices(len(self))
        starts = self.starts
        first = int(starts[start]) if start < len(self) else len(self.t)
        last = int(self.ends[stop - 1]) if stop > start else first
        events = slice(first, last)
        x, y, t, p = (getattr(self, name)[events] for name in "xytp")
        return Recordings(x, y, t, p, self.ends[start:stop] - first, self.height, self.width)

    def where(self, kept: Array) -> Recordings:
        """Return the events for which `kept` is True, (events,) bool, in as many recordings."""
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])[self.ends]
        x, y, t, p = (getattr(self, name)[kept] for name in "xytp")
        return replace(self, x=x, y=y, t=t, p=p, ends=ends)

    @property
    def starts(self) -> Array:
        """Where each recording starts, (recordings,)."""
        return np.concatenate([np.zeros(1, np.int64), self.ends[:-1]])[: len(self.ends)]

    @property
    def counts(self) -> Array:
        """Events of each recording, (recordings,)."""
        return self.ends - self.starts

    @property
    def which(self) -> Array:
        """The recording of each event, (events,)."""
        return np.repeat(np.arange(len(self)), self.counts)

    @property
    def begins(self) -> Array:
        """Time of the first event of each recording in µs; 0 where there is none."""
        return self._times(self.starts)

    @property
    def durations(self) -> Array:
        """Time from the first to the last event of each recording in µs."""
        return self._times(self.ends - 1) - self.begins

    def _times(self, places: Array) -> Array:
        found = np.zeros(len(self), np.int64)
        there = self.counts > 0
        found[there] = self.t[places[there]]
        return found

    def resized(self, height: int, width: int) -> Recordings:
        """Return the events on a sensor of another size: x' = floor(x W' / W), y' likewise."""
        if (height, width) == (self.height, self.width):
            return self
        x = self.x.astype(np.int64) * width // self.width
        y = self.y.astype(np.int64) * height // self.height
        return replace(self, x=x, y=y, height=height, width=width)
