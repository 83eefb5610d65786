"""Events as columns."""

from __future__ import annotations

import numpy as np
import pytest

from spikeformer.data.events import read_events
from spikeformer.files.reading import UnreadableFileError


def test_rows_and_polarity_may_be_absent(tmp_path):
    np.savez(tmp_path / "one.npz", times=np.array([5, 9]), units=np.array([3, 1]))
    events = read_events(tmp_path / "one.npz")
    assert events.y.tolist() == [0, 0]
    assert events.p.tolist() == [1, 1]
    assert events.least_size == (1, 4)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"t": [1, 2]}, "columns named t and x"),
        ({"x": [1, 2]}, "columns named t and x"),
        ({"t": [1, 2], "x": [1]}, "length"),
        ({"t": [[1, 2]], "x": [[1, 2]]}, "length"),
        ({"t": [1, 2], "x": [1.5, 2]}, "whole numbers"),
        ({"t": [0.001, 0.002], "x": [1, 2]}, "whole numbers"),
        ({"t": [1, 2], "x": [-1, 2]}, "at least 0"),
    ],
)
def test_other_columns_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "one.npz", **{name: np.array(value) for name, value in arrays.items()})
    with pytest.raises(UnreadableFileError, match=message):
        read_events(tmp_path / "one.npz")


def test_an_array_without_names_is_refused(tmp_path):
    np.save(tmp_path / "one.npy", np.zeros((5, 4)))
    with pytest.raises(UnreadableFileError, match=r"named t and x.*\(5, 4\)"):
        read_events(tmp_path / "one.npy")


def test_pickles_are_not_opened(tmp_path):
    np.save(tmp_path / "one.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(UnreadableFileError):
        read_events(tmp_path / "one.npy")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3,0\n4,5,6,1\n", "columns named"),
        ("t,x\n1,a\n", "one.csv"),
        ("t,x,y,p\n", "no events"),
        ("t,x\n1,2\n3\n", "one.csv"),
    ],
)
def test_csv_that_is_no_table_of_events_is_refused(tmp_path, text, message):
    (tmp_path / "one.csv").write_text(text)
    with pytest.raises(UnreadableFileError, match=message):
        read_events(tmp_path / "one.csv")
