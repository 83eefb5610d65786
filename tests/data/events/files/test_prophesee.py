"""Prophesee's files: a real recording, and bytes written by the formats' descriptions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikeformer.data.events import Recordings, read_events
from spikeformer.files.reading import UnreadableFileError
from tests.data.events.files.test_aer import ends
from tests.data.events.files.test_raw import equal
from tests.data.events.files.writers import write_dat, write_evt2, write_evt3
from tests.data.events.made import recordings


def test_a_recording_of_n_cars(shared_set):
    events = read_events(Path(shared_set("events")) / "sample_ncars.dat")
    assert len(events.t) == 2009
    assert ends(events) == [(0, 25, 8, 0), (99952, 75, 28, 1)]
    assert events.size is None


def test_dat_may_tell_the_size(tmp_path):
    write_dat(tmp_path / "one.dat", recordings(9), size="% Height 480\n% Width 640\n")
    assert read_events(tmp_path / "one.dat").size == (480, 640)


@pytest.mark.parametrize("version", [1, 3])
def test_other_versions_of_dat_are_refused(tmp_path, version):
    write_dat(tmp_path / "one.dat", recordings(9), version)
    with pytest.raises(UnreadableFileError, match=f"Version {version}"):
        read_events(tmp_path / "one.dat")


def test_dat_of_other_events_is_refused(tmp_path):
    write_dat(tmp_path / "one.dat", recordings(9))
    content = (tmp_path / "one.dat").read_bytes()
    for what in (bytes([0x0E, 8]), bytes([0x0C, 4])):
        (tmp_path / "one.dat").write_bytes(content.replace(bytes([0x0C, 8]), what, 1))
        with pytest.raises(UnreadableFileError, match="another kind"):
            read_events(tmp_path / "one.dat")


@pytest.mark.parametrize("write", [write_evt2, write_evt3])
def test_raw_of_both_kinds(tmp_path, write):
    one = recordings(60, height=200, width=300)
    write(tmp_path / "one.raw", one)
    events = read_events(tmp_path / "one.raw")
    equal(events, one)
    assert events.size == (200, 300)


def test_times_of_evt2_have_34_bits(tmp_path):
    late = Recordings.of([1, 2], [3, 4], [2**33, 2**33 + 70], [1, 0], height=5, width=5)
    write_evt2(tmp_path / "one.raw", late)
    equal(read_events(tmp_path / "one.raw"), late)


def test_events_before_the_first_upper_part_of_the_time_have_none(tmp_path):
    header = b"% evt 2.0\n% end\n"
    words = np.array([1 << 28 | 5 << 11 | 6, 8 << 28 | 3, 1 << 28 | 2 << 22 | 7 << 11 | 8], "<u4")
    (tmp_path / "one.raw").write_bytes(header + words.tobytes())
    assert ends(read_events(tmp_path / "one.raw"))[0] == (3 * 64 + 2, 7, 8, 1)


@pytest.mark.parametrize("header", [b"% evt 4.0\n", b"% date 2020-01-01\n"])
def test_raw_of_another_encoding_is_refused(tmp_path, header):
    (tmp_path / "one.raw").write_bytes(header + bytes(8))
    with pytest.raises(UnreadableFileError, match="another kind"):
        read_events(tmp_path / "one.raw")


def test_evt3_that_was_cut_short_is_named(tmp_path):
    write_evt3(tmp_path / "one.raw", recordings(10))
    content = (tmp_path / "one.raw").read_bytes()
    (tmp_path / "one.raw").write_bytes(content[:-1])
    with pytest.raises(UnreadableFileError, match="ends within"):
        read_events(tmp_path / "one.raw")
