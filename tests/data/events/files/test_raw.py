"""What all readers share, and the choice of the reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikeformer.data.events import READERS, read_events
from spikeformer.data.events.files.raw import RawEvents, header_lines, records
from spikeformer.error_handling import DataError
from spikeformer.files.reading import UnreadableFileError
from tests.data.events.files.writers import WRITERS
from tests.data.events.made import recordings


def equal(found: RawEvents, one) -> None:
    assert len(found.t) == len(one.t) > 0
    for name in "xyt":
        np.testing.assert_array_equal(getattr(found, name), getattr(one, name))
    np.testing.assert_array_equal(np.asarray(found.p) > 0, one.p)


@pytest.mark.parametrize("ending", WRITERS)
def test_what_was_written_is_read(tmp_path, ending):
    one = recordings(40)
    WRITERS[ending](tmp_path / f"one{ending}", one)
    equal(read_events(tmp_path / f"one{ending}"), one)


@pytest.mark.parametrize("ending", READERS)
def test_empty_and_foreign_files_are_named(tmp_path, ending):
    path = tmp_path / f"one{ending}"
    for content in (b"", b"\xff\xd8 a picture, say\n" * 5):
        path.write_bytes(content)
        with pytest.raises(UnreadableFileError, match=f"one{ending}"):
            read_events(path)


@pytest.mark.parametrize("ending", [e for e in WRITERS if e != ".csv"])
def test_a_file_that_was_cut_short_is_named(tmp_path, ending):
    path = tmp_path / f"one{ending}"
    WRITERS[ending](path, recordings(40))
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(UnreadableFileError, match=f"one{ending}"):
        read_events(path)


def test_other_endings_are_refused():
    with pytest.raises(DataError, match=r"film\.mp4.*\.aedat"):
        read_events(Path("film.mp4"))


def test_a_sensor_is_what_the_file_says_or_the_least_that_holds_all():
    x, y = np.array([3, 0]), np.array([1, 1])
    assert RawEvents(x, y, x, x).least_size == (2, 4)
    assert RawEvents(x, y, x, x, (5, 9)).least_size == (5, 9)
    on = RawEvents(x, y, np.array([5, 2]), np.array([0, 1])).on((2, 4))
    assert (on.t.tolist(), on.x.tolist(), on.p.tolist()) == ([2, 5], [0, 3], [True, False])


def test_header_and_records():
    assert header_lines(b"% a\n% b\r\nxy", b"%") == (["a", "b"], 9)
    assert header_lines(b"% no end", b"%") == ([], 8)
    assert header_lines(b"xy", b"%") == ([], 0)
    with pytest.raises(UnreadableFileError, match="ends within"):
        records(Path("one"), "DAT", b"12345", "<u4")
