"""Events as tensors with as many steps as the network: the ways in which papers do it, by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spikeformer.data.events.recordings import Array, Recordings
from spikeformer.error_handling import (
    ArgumentError,
    check_choice,
    check_positive,
    check_positive_int,
)

KINDS = ("time", "count", "spikes", "voxel", "surface")
_CHUNK = 2**26
"""Values that are computed at once."""


@dataclass(frozen=True)
class Representation:
    r"""How a recording becomes (timesteps, channels, height, width).

    An event i has a place (x, y), a polarity p and a time t_i, counted from the recording's first
    event. T is `timesteps`, D the duration: `duration_ms`, or else the time of the recording's
    last event. Events at D or later are left out, the last one of a recording without
    `duration_ms` is in the last step.

    - "time": F[k, p, y, x] is the number of events with `floor(t_i T / D) = k`; uint8, at most 255.
    - "count": as many events in each frame: F[k] counts those with `floor(i T / N) = k`, of N
      events in order (Fang et al., 2021, arXiv:2007.05785).
    - "spikes": "time", with 1 where there is an event: min(F, 1).
    - "voxel": V[k, y, x] = sum of p_i max(0, 1 - abs(k - t_i (T - 1) / D)) with p_i = 1 or -1;
      float32, one channel (Zhu et al., CVPR 2019, arXiv:1812.08156).
    - "surface": S[k, p, y, x] = exp(-(e_k - l) / tau), with e_k = (k + 1) D / T the end of the
      step and l the time of the last event at this place before it; 0 if there was none; float32
      (Lagorce et al., 2017, doi:10.1109/TPAMI.2016.2574707).

    Channel 0 has the events that are darker, channel 1 those that are brighter.

    Args:
        kind: "time", "count", "spikes", "voxel" or "surface".
        timesteps: T.
        height: Rows; events of a sensor of another size move to floor(y height / rows).
        width: Columns, likewise.
        polarity: Keep polarities apart, in two channels; False puts them into one.
        duration_ms: D in ms; None takes the length of each recording.
        tau_ms: Time constant of "surface" in ms.

    Raises:
        ArgumentError: A value is outside its range.

    Example:
        >>> events = Recordings.of([3, 0], [1, 1], [10, 250], [True, False], height=2, width=4)
        >>> frames = Representation("time", timesteps=2, height=2, width=4)(events)
        >>> frames.shape, frames.nonzero().tolist()
        (torch.Size([1, 2, 2, 2, 4]), [[0, 0, 1, 1, 3], [0, 1, 0, 1, 0]])
    """

    kind: str = "time"
    timesteps: int = 10
    height: int = 34
    width: int = 34
    polarity: bool = True
    duration_ms: float | None = None
    tau_ms: float = 30.0

    def __post_init__(self) -> None:
        check_choice("representation", self.kind, KINDS)
        check_positive_int("timesteps", self.timesteps)
        check_positive_int("height", self.height)
        check_positive_int("width", self.width)
        if self.duration_ms is not None:
            check_positive("duration_ms", self.duration_ms)
        check_positive("tau_ms", self.tau_ms)
        if self.kind == "voxel" and self.polarity:
            expected = "false: a voxel grid adds brighter and subtracts darker events"
            raise ArgumentError("polarity", True, expected)

    @property
    def channels(self) -> int:
        """Channels of a frame."""
        return 2 if self.polarity else 1

    def __call__(self, recordings: Recordings) -> Tensor:
        """Return (recordings, timesteps, channels, height, width)."""
        frame = self.channels * self.height * self.width
        size = max(1, _CHUNK // (self.timesteps * frame))
        parts = [
            self._chunk(recordings[first : first + size].resized(self.height, self.width))
            for first in range(0, len(recordings), size)
        ]
        shape = (-1, self.timesteps, self.channels, self.height, self.width)
        real = self.kind in ("voxel", "surface")
        kept = [np.zeros(0, np.float32 if real else np.uint8), *(part.ravel() for part in parts)]
        return torch.from_numpy(np.concatenate(kept)).view(shape)

    def _chunk(self, events: Recordings) -> Array:
        if self.kind == "voxel":
            return self._voxels(events)
        step, kept = self._steps(events)
        if self.kind == "surface":
            return self._surface(events, step, kept)
        place = (events.which * self.timesteps + step) * self.channels * self.height * self.width
        place += self._pixel(events)
        counted = np.bincount(place[kept], minlength=self._size(events)).clip(max=255)
        return (counted > 0).astype(np.uint8) if self.kind == "spikes" else counted.astype(np.uint8)

    def _size(self, events: Recordings) -> int:
        return len(events) * self.timesteps * self.channels * self.height * self.width

    def _pixel(self, events: Recordings) -> Array:
        """Return the place of each event in a frame, channels first."""
        channel = events.p.astype(np.int64) if self.polarity else np.zeros(len(events.t), np.int64)
        return (channel * self.height + events.y) * self.width + events.x

    def _duration(self, events: Recordings) -> Array:
        """Return D of each recording in µs, at least 1."""
        if self.duration_ms is None:
            return events.durations.clip(min=1).astype(np.float64)
        return np.full(len(events), self.duration_ms * 1e3)

    def _steps(self, events: Recordings) -> tuple[Array, Array]:
        """Return the step of each event, and which events are kept."""
        which = events.which
        if self.kind == "count":
            number = np.arange(len(events.t)) - events.starts[which]
            step = number * self.timesteps // events.counts[which]
            return step, np.ones(len(step), bool)
        since = events.t - events.begins[which]
        step = (since * self.timesteps / self._duration(events)[which]).astype(np.int64)
        if self.duration_ms is None:
            return step.clip(max=self.timesteps - 1), np.ones(len(step), bool)
        return step, step < self.timesteps

    def _voxels(self, events: Recordings) -> Array:
        which = events.which
        since = events.t - events.begins[which]
        exact = since * (self.timesteps - 1) / self._duration(events)[which]
        sign = np.where(events.p, 1.0, -1.0)
        place = events.y.astype(np.int64) * self.width + events.x
        frame = self.height * self.width
        voxels = np.zeros(self._size(events))
        below = np.floor(exact).astype(np.int64)
        for step, share in ((below, 1 - (exact - below)), (below + 1, exact - below)):
            kept = (step < self.timesteps) & (exact <= self.timesteps - 1)
            index = (which * self.timesteps + step) * frame + place
            weights = (sign * share)[kept]
            voxels += np.bincount(index[kept], weights, minlength=len(voxels))
        return voxels.astype(np.float32)

    def _surface(self, events: Recordings, step: Array, kept: Array) -> Array:
        frame = self.channels * self.height * self.width
        since = (events.t - events.begins[events.which])[kept]
        last = np.full((len(events), self.timesteps, frame), -np.inf)
        place = (events.which * self.timesteps + step) * frame + self._pixel(events)
        np.maximum.at(last.reshape(-1), place[kept], since)
        last = np.maximum.accumulate(last, axis=1)
        ends = self._duration(events)[:, None] * np.arange(1, self.timesteps + 1) / self.timesteps
        surface: Array = np.exp((last - ends[:, :, None]) / (self.tau_ms * 1e3))
        return surface.astype(np.float32)
