"""Damaged files of every format are refused as such, or read; nothing else is raised."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikeformer.data.events.files import RawEvents, read_events
from spikeformer.files.reading import UnreadableFileError
from tests.data.events.files.writers import WRITERS, write_aedat2, write_evt3
from tests.data.events.made import recordings

OTHERS = {"evt3.raw": write_evt3, "dvs.aedat": lambda path, one: write_aedat2(path, one, "DVS128")}
FORMATS = [*(f"whole{ending}" for ending in WRITERS), *OTHERS]


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """A whole file of every format."""
    folder, one = tmp_path_factory.mktemp("whole"), recordings(30)
    for name in FORMATS:
        writer = OTHERS.get(name) or WRITERS[name.removeprefix("whole")]
        writer(folder / name, one)
    return {name: (folder / name).read_bytes() for name in FORMATS}


def outcome(path):
    """What a file is: its events, or the file that cannot be read."""
    try:
        return type(read_events(path))
    except UnreadableFileError as error:
        return error.path


@st.composite
def damage(draw):
    """What happens to a file: where it ends, and which bytes are others."""
    share = draw(st.floats(0, 1))
    place = st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255))
    return share, draw(st.lists(place, max_size=4))


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_refused_or_read(name, contents, tmp_path):
    path = tmp_path / name

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(damage())
    def check(found):
        share, changes = found
        content = bytearray(contents[name])
        for place, byte in changes:
            content[int(place * len(content))] = byte
        path.write_bytes(content[: round(share * len(content))])
        assert outcome(path) in (RawEvents, path)

    check()


@pytest.mark.parametrize("name", FORMATS)
def test_files_of_other_formats_are_refused_or_read(name, contents, tmp_path):
    path = tmp_path / name
    for other in ("", *FORMATS):
        path.write_bytes(contents.get(other, b""))
        assert outcome(path) in (RawEvents, path)


def test_places_that_no_sensor_has_are_refused(tmp_path):
    path = tmp_path / "one.csv"
    path.write_text("t,x,y\n1,2,3\n2,16383,0\n")
    assert read_events(path).least_size == (4, 16384)
    path.write_text("t,x,y\n1,2,3\n2,16384,0\n")
    with pytest.raises(UnreadableFileError, match="4 x 16385"):
        read_events(path)


class Panic(BaseException):
    """As packages in Rust raise: no Exception."""


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (Panic, UnreadableFileError),
        (RuntimeError, UnreadableFileError),
        (KeyboardInterrupt, KeyboardInterrupt),
    ],
)
def test_what_a_package_raises_of_a_damaged_file(tmp_path, monkeypatch, raised, expected):
    def decoder(path):
        raise raised("range end index 99")

    path = tmp_path / "one.aedat4"
    path.write_bytes(b"#!AER-DAT4.0\r\n")
    where = "spikeformer.data.events.files.aer.optional_import"
    monkeypatch.setattr(where, lambda *_, **__: SimpleNamespace(Decoder=decoder))
    with pytest.raises(expected, match="range end index 99"):
        read_events(path)
