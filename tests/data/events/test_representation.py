"""Frames of events against their formulas, event by event."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from spikeformer.data.events import Recordings, Representation
from spikeformer.data.events import representation as module
from spikeformer.data.events.representation import KINDS
from spikeformer.error_handling import ArgumentError
from tests.data.events.made import recordings

STEPS, HEIGHT, WIDTH = 4, 5, 7


def by_hand(kind: str, one: Recordings, polarity: bool, duration_ms: float | None, tau_ms: float):
    """Compute the frames of one recording in loops, as the formulas say it."""
    frames = np.zeros((STEPS, 2 if polarity else 1, HEIGHT, WIDTH))
    last: dict[tuple[int, int, int], float] = {}
    count = len(one.t)
    if not count:
        return frames
    length = one.t[-1] - one.t[0] if duration_ms is None else duration_ms * 1000
    for i, (x, y, t, p) in enumerate(zip(one.x, one.y, one.t, one.p, strict=True)):
        since = t - one.t[0]
        channel = int(p) if polarity else 0
        if kind == "count":
            frames[math.floor(i * STEPS / count), channel, y, x] += 1
        elif kind == "voxel":
            for step in range(STEPS):
                near = max(0.0, 1 - abs(step - since * (STEPS - 1) / length))
                frames[step, 0, y, x] += near * (1 if p else -1) * (since <= length)
        else:
            step = math.floor(since * STEPS / length)
            step = min(step, STEPS - 1) if duration_ms is None else step
            if step >= STEPS:
                continue
            if kind == "surface":
                for later in range(step, STEPS):
                    end = (later + 1) * length / STEPS
                    last[channel, y, x] = since
                    frames[later, channel, y, x] = math.exp((since - end) / (tau_ms * 1000))
            else:
                frames[step, channel, y, x] += 1
    return np.minimum(frames, 1) if kind == "spikes" else frames


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("polarity", [True, False])
@pytest.mark.parametrize("duration_ms", [None, 40.0, 500.0])
@pytest.mark.parametrize("chunk", [1, 2**26])
def test_frames_are_those_of_the_formula(monkeypatch, kind, polarity, duration_ms, chunk):
    monkeypatch.setattr(module, "_CHUNK", chunk)
    polarity = polarity and kind != "voxel"
    several = recordings(40, 0, 1, 300, 7)
    options = {"polarity": polarity, "duration_ms": duration_ms, "tau_ms": 20.0}
    represent = Representation(kind, STEPS, HEIGHT, WIDTH, **options)
    frames = represent(several)
    assert frames.shape == (5, STEPS, represent.channels, HEIGHT, WIDTH)
    assert frames.dtype == (torch.float32 if kind in ("voxel", "surface") else torch.uint8)
    for number in range(5):
        if duration_ms is None and number == 2:
            continue  # a single event lasts no time
        expected = by_hand(kind, several[number : number + 1], *options.values())
        np.testing.assert_allclose(frames[number], expected, atol=1e-5)


def test_all_events_are_in_the_frames_of_a_whole_recording():
    several = recordings(40, 300)
    for kind in ("time", "count"):
        frames = Representation(kind, 3, HEIGHT, WIDTH)(several)
        assert frames.flatten(1).sum(dim=1).tolist() == [40, 300]
    voxels = Representation("voxel", 3, HEIGHT, WIDTH, polarity=False)(several)
    signs = [(2 * several[i : i + 1].p.astype(int) - 1).sum() for i in range(2)]
    np.testing.assert_allclose(voxels.flatten(1).sum(dim=1), signs, atol=1e-4)


def test_frames_by_count_hold_equally_many_events():
    frames = Representation("count", 4, HEIGHT, WIDTH)(recordings(42))
    assert sorted(frames.flatten(2).sum(dim=2)[0].tolist()) == [10, 10, 11, 11]


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_event_is_in_the_first_frame(kind):
    one = Recordings.of([2], [1], [500], [True], height=2, width=3)
    frames = Representation(kind, 2, 2, 3, polarity=False)(one)
    assert frames[0, 0].nonzero().tolist() == [[0, 1, 2]]
    assert frames[0, 0].max() == pytest.approx(1, abs=1e-4)


def test_counts_end_at_255():
    many = Recordings.of(*np.zeros((4, 300), int), height=1, width=1)
    assert Representation("time", 1, 1, 1)(many).tolist() == [[[[[255]], [[0]]]]]


def test_a_larger_sensor_is_binned():
    frames = Representation("time", 2, 1, 1, polarity=False)(recordings(50))
    assert frames.shape == (1, 2, 1, 1, 1)
    assert frames.sum() == 50


def test_nothing_gives_an_empty_tensor():
    assert Representation("time", 2, 3, 4)(recordings(1)[1:]).shape == (0, 2, 2, 3, 4)


@pytest.mark.parametrize(
    "arguments",
    [
        {"kind": "histogram"},
        {"timesteps": 0},
        {"height": 0},
        {"width": -1},
        {"duration_ms": 0.0},
        {"tau_ms": 0.0},
        {"kind": "voxel", "polarity": True},
    ],
)
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ArgumentError):
        Representation(**arguments)
