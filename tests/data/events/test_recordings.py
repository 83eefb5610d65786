"""Many recordings in one."""

from __future__ import annotations

import numpy as np
import pytest

from spikeformer.data.events import Recordings
from spikeformer.error_handling import ArgumentError
from tests.data.events.made import recordings


def test_events_are_sorted_by_time_and_ties_keep_their_order():
    one = Recordings.of([0, 1, 2, 3], [0, 0, 0, 0], [5, 3, 5, 3], [1, 0, 1, 0], height=1, width=4)
    assert one.x.tolist() == [1, 3, 0, 2]
    assert one.t.tolist() == [3, 3, 5, 5]
    assert one.p.tolist() == [False, False, True, True]


def test_counts_and_times_of_each_with_empty_ones_between():
    several = recordings(3, 0, 1, 4, 0)
    assert several.counts.tolist() == [3, 0, 1, 4, 0]
    assert several.which.tolist() == [0] * 3 + [2] + [3] * 4
    assert several.durations[[1, 2, 4]].tolist() == [0, 0, 0]
    assert several.begins[3] == several.t[4]
    assert several.durations[3] == several.t[7] - several.t[4]


@pytest.mark.parametrize(
    "chosen", [slice(0, 2), slice(1, 4), slice(3, 9), slice(2, 2), slice(9, None)]
)
def test_a_slice_has_the_recordings_of_its_place(chosen):
    several = recordings(3, 0, 1, 4, 0)
    part = several[chosen]
    assert part.counts.tolist() == several.counts[chosen].tolist()
    inside = np.isin(several.which, np.arange(5)[chosen])
    for name in "xytp":
        np.testing.assert_array_equal(getattr(part, name), getattr(several, name)[inside])


def test_joining_parts_gives_the_whole():
    several = recordings(3, 0, 1, 4, 0)
    again = Recordings.join([several[:2], several[2:]])
    for name in ("x", "y", "t", "p", "ends"):
        np.testing.assert_array_equal(getattr(again, name), getattr(several, name))
    with pytest.raises(ArgumentError, match="one size"):
        Recordings.join([several, recordings(1, height=4)])


def test_another_size_bins_pixels():
    one = Recordings.of([0, 3, 6], [0, 2, 4], [0, 1, 2], [1, 1, 1], height=5, width=7)
    small = one.resized(2, 3)
    assert (small.x.tolist(), small.y.tolist()) == ([0, 1, 2], [0, 0, 1])
    assert (small.height, small.width) == (2, 3)
    assert one.resized(5, 7) is one


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 7], [0, 0], [0, 1], [1, 1]), "from 0 to 6"),
        (([0, 0], [0, -1], [0, 1], [1, 1]), "from 0 to 4"),
        (([0], [0, 0], [0, 1], [1, 1]), "as many"),
    ],
)
def test_events_outside_the_sensor_are_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        Recordings.of(*arguments, height=5, width=7)


@pytest.mark.parametrize("ends", [[1], [3], [2, 1], []])
def test_ends_that_do_not_fit_are_refused(ends):
    with pytest.raises(ArgumentError, match="ends"):
        Recordings(*np.zeros((4, 2), int), np.array(ends, int), 5, 7)


def test_some_events_of_recordings():
    one = recordings(5, 0, 4)
    kept = np.arange(9) % 2 == 0
    found = one.where(kept)
    assert found.counts.tolist() == [3, 0, 2]
    for name in "xytp":
        assert getattr(found, name).tolist() == getattr(one, name)[kept].tolist()
