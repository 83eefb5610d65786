"""ATIS and AEDAT: real recordings, and bytes written by the formats' descriptions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikeformer.data.events import Recordings, read_events
from spikeformer.files.reading import UnreadableFileError
from tests.data.events.files.test_raw import equal
from tests.data.events.files.writers import write_aedat2, write_aedat3, write_bin
from tests.data.events.made import recordings


def ends(events) -> list[tuple[int, ...]]:
    columns = (events.t, events.x, events.y, events.p)
    return [tuple(int(column[i]) for column in columns) for i in (0, -1)]


def test_a_recording_of_n_mnist(shared_set):
    events = read_events(Path(shared_set("events")) / "sample_nmnist.bin")
    assert len(events.t) == 4325
    assert ends(events) == [(654, 7, 15, 1), (311175, 21, 14, 1)]
    assert events.least_size == (34, 34)


def test_a_recording_of_a_davis(shared_set):
    events = read_events(Path(shared_set("events")) / "sample.aedat4")
    assert len(events.t) == 111_954
    assert ends(events) == [(1605537493718345, 154, 204, 0), (1605537494308262, 88, 237, 1)]
    assert events.size == (240, 320)


def test_a_header_without_events_is_named(shared_set):
    with pytest.raises(UnreadableFileError, match=r"sample_aedat_header\.aedat.*no events"):
        read_events(Path(shared_set("events")) / "sample_aedat_header.aedat")


def test_times_run_over_in_row_240(tmp_path):
    one = recordings(30)
    write_bin(tmp_path / "one.bin", one, overflows=(20, 25))
    equal(read_events(tmp_path / "one.bin"), one)


def test_rows_that_an_atis_does_not_have_are_of_another_file(tmp_path):
    (tmp_path / "one.bin").write_bytes(bytes([1, 241, 0, 0, 0]))
    with pytest.raises(UnreadableFileError, match="y=241"):
        read_events(tmp_path / "one.bin")


@pytest.mark.parametrize(
    ("chip", "size"),
    [
        ("dvs128.DVS128", (128, 128)),
        ("ini.chips.davis.Davis346red", (260, 346)),
        ("ini.chips.davis.DAVIS240C", (180, 240)),
        ("ini.chips.davis.DavisNew", None),
    ],
)
def test_aedat2_by_chip(tmp_path, chip, size):
    one = recordings(30, height=100, width=120)
    write_aedat2(tmp_path / "one.aedat", one, chip)
    events = read_events(tmp_path / "one.aedat")
    equal(events, one)
    assert events.size == size


def test_aedat2_without_a_chip_goes_by_the_addresses(tmp_path):
    one = recordings(30, height=100, width=120)
    for chip in ("DVS128", "davis"):
        write_aedat2(tmp_path / "one.aedat", one, chip)
        content = (tmp_path / "one.aedat").read_bytes()
        start = content.index(b"# AEChip")
        end = content.index(b"\r\n", start) + 2
        (tmp_path / "one.aedat").write_bytes(content[:start] + content[end:])
        equal(read_events(tmp_path / "one.aedat"), one)


def test_aedat2_of_a_chip_that_is_not_known_is_refused(tmp_path):
    write_aedat2(tmp_path / "one.aedat", recordings(3), "cochlea.AMS1c")
    with pytest.raises(UnreadableFileError, match="ams1c"):
        read_events(tmp_path / "one.aedat")


def test_overflows_of_aedat3_are_in_the_upper_bits(tmp_path):
    one = recordings(20)
    write_aedat3(tmp_path / "one.aedat", one, overflow=2)
    later = Recordings.of(one.x, one.y, one.t + 2**32, one.p, height=5, width=7)
    equal(read_events(tmp_path / "one.aedat"), later)


def test_aedat3_with_an_impossible_packet_is_refused(tmp_path):
    write_aedat3(tmp_path / "one.aedat", recordings(3))
    content = (tmp_path / "one.aedat").read_bytes()
    at = content.index(b"END-HEADER") + 12 + 4
    (tmp_path / "one.aedat").write_bytes(content[:at] + b"\xff" * 4 + content[at + 4 :])
    with pytest.raises(UnreadableFileError, match="another kind"):
        read_events(tmp_path / "one.aedat")


def test_aedat4_that_was_cut_short_is_named(shared_set, tmp_path):
    content = (Path(shared_set("events")) / "sample.aedat4").read_bytes()
    (tmp_path / "one.aedat4").write_bytes(content[:5000])
    with pytest.raises(UnreadableFileError, match=r"one\.aedat4"):
        read_events(tmp_path / "one.aedat4")


def test_aedat4_of_a_broken_header_is_named(tmp_path):
    (tmp_path / "one.aedat4").write_bytes(b"#!AER-DAT4.0\r\n" + np.arange(40, dtype="u1").tobytes())
    with pytest.raises(UnreadableFileError, match=r"one\.aedat4"):
        read_events(tmp_path / "one.aedat4")
