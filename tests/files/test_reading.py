from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
import pytest
from omegaconf import OmegaConf

from spikeformer.files import UnreadableFileError, read_arrays, read_json, read_yaml


@dataclass
class Sizes:
    name: str
    timesteps: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    rate: float = 0.0


def test_read_json_gives_what_was_expected(tmp_path):
    path = tmp_path / "sizes.json"
    path.write_text('{"name": "µ 😀", "timesteps": 4, "more": [NaN, 1e400]}', encoding="utf-8")
    assert read_json(path, dict[str, Any])["name"] == "µ 😀"
    assert read_json(path, Sizes) == Sizes("µ 😀", 4)
    path.write_text('{"name": "\\ud83d\\ude00"}')
    assert read_json(path, dict[str, str]) == {"name": "😀"}


NO_JSON = {
    "empty": (b"", "Expecting value"),
    "NUL": (b"\0\0\0", "Expecting value"),
    "cut short": (b'{"a": [1, 2', "Expecting"),
    "latin-1": ('{"ü": 1}'.encode("latin-1"), "utf-8"),
    "utf-16": ("{}".encode("utf-16"), "utf-8"),
    "deep lists": (b"[" * 100_000, "recursion"),
    "deep objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "recursion"),
    "101 levels": (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", "deeper than 100"),
    "huge number": (b'{"a": ' + b"1" * 5000 + b"}", "4300"),
    "lone surrogate": (b'{"name": "\\ud800"}', "lone surrogate"),
    "lone surrogate in a key": (b'{"a": {"\\udfff": 1}}', "lone surrogate"),
    "list": (b"[]", "Expected `object`"),
    "null": (b"null", "Expected `object`"),
    "text": (b'"graph"', "Expected `object`"),
}


@pytest.mark.parametrize("case", NO_JSON)
def test_read_json_refuses(tmp_path, case):
    content, reason = NO_JSON[case]
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match=reason) as caught:
        read_json(path, dict)
    assert str(path) in str(caught.value)
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), UnreadableFileError)


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "a", "timesteps": "4"}',
        '{"name": 3, "timesteps": 4}',
        '{"name": "a", "timesteps": -1}',
        '{"name": "a", "timesteps": 1e15}',
        '{"name": "a", "timesteps": 4, "rate": "fast"}',
        '{"name": "a"}',
    ],
)
def test_read_json_refuses_other_types_and_ranges(tmp_path, text):
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(UnreadableFileError, match=r"Expected|missing"):
        read_json(path, Sizes)


@pytest.mark.parametrize("read", [lambda p: read_json(p, dict), lambda p: read_yaml(p, dict)])
def test_only_small_regular_files_are_read(tmp_path, read):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent")
    with pytest.raises(UnreadableFileError, match="no regular file"):
        read(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnreadableFileError, match="no regular file"):
        read(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(UnreadableFileError, match="at most"):
        read(tmp_path / "large")
    with pytest.raises(UnreadableFileError, match="null"):
        read(tmp_path / "a\0b")


def test_read_yaml_reads_what_omegaconf_writes(tmp_path):
    value = {
        "lr": 1e-5,
        "text": ["1e-3", "null", "2026-01-31", "yes", "1:30", "a: b", "", "é"],
        "none": None,
        "nested": {"on": True, "list": [1, -2.5, float("inf")]},
    }
    path = tmp_path / "config.yaml"
    path.write_text(OmegaConf.to_yaml(OmegaConf.create(value)), encoding="utf-8")
    assert read_yaml(path, dict[str, Any]) == value
    path.write_text("{a: 1e-3, b: 2.5E3, c: 2026-01-31, d: 1e}")
    assert read_yaml(path, dict) == {"a": 1e-3, "b": 2500.0, "c": "2026-01-31", "d": "1e"}


NO_YAML = {
    "empty": (b"", "Expected `object`"),
    "list": (b"[a, b]", "Expected `object`"),
    "NUL": (b"a: \0\n", "special characters"),
    "latin-1": ("ü: 1".encode("latin-1"), "utf-8"),
    "deep": (b"[" * 10_000, "deeper than 100"),
    "code": (b"a: !!python/object/apply:os.system [true]", "could not determine a constructor"),
    "aliases": (b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "aliases"),
    "merge": (b"a: &a {x: 1}\nb: {<<: *a}\n", "aliases"),
    "list as key": (b"? [1]\n: 2\n", "unhashable"),
    "lone surrogate": (b'a: "\\ud800"', "surrogate"),
}


@pytest.mark.parametrize("case", NO_YAML)
def test_read_yaml_refuses(tmp_path, case):
    content, reason = NO_YAML[case]
    path = tmp_path / "file.yaml"
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match=reason):
        read_yaml(path, dict)


def npy(array, *, pickled=False):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=pickled)
    return stream.getvalue()


def header(text):
    """A member with a header of any text, and eight bytes of content."""
    padded = text.encode() + b" " * (118 - len(text) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded + b"\0" * 8


def archive(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_read_arrays_gives_what_numpy_wrote(tmp_path, save):
    arrays = {
        "spikes": np.random.default_rng(0).random((3, 4)) < 0.5,
        "weights": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        "empty": np.empty((0, 5), np.int64),
        "scalar": np.array(7),
        "a/b.c": np.arange(3, dtype=">i2"),
        "large": np.zeros(1_000_000, np.int8),
    }
    save(tmp_path / "file.npz", **arrays)
    read = read_arrays(tmp_path / "file.npz")
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype


def test_read_arrays_gives_text_where_it_is_expected(tmp_path):
    np.savez(tmp_path / "file.npz", names=np.array(["a", "b"]))
    assert read_arrays(tmp_path / "file.npz", kinds="U")["names"].tolist() == ["a", "b"]
    with pytest.raises(UnreadableFileError, match="names holds <U1"):
        read_arrays(tmp_path / "file.npz")


SHAPES = {
    "absurd": "(1000000000000, 8)",
    "negative": "(-1, -8)",
    "overflowing": f"({2**63}, {2**63})",
    "too small": "(3,)",
    "zero times absurd": "(0, 1000000000000000000)",
}


@pytest.mark.parametrize("case", SHAPES)
def test_read_arrays_holds_shapes_against_the_file(tmp_path, case):
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {SHAPES[case]}}}"
    with pytest.raises(UnreadableFileError, match="not so many values"):
        read_arrays(archive(tmp_path / "file.npz", {"a.npy": header(text)}))


@pytest.mark.parametrize(
    "text", ["{", "(" * 5000, "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "\0", "[]"]
)
def test_read_arrays_refuses_broken_headers(tmp_path, text):
    with pytest.raises(UnreadableFileError):
        read_arrays(archive(tmp_path / "file.npz", {"a.npy": header(text)}))


class Opens:
    def __reduce__(self):
        return open, ("made-by-pickle", "w")


def test_read_arrays_unpickles_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickled = npy(np.array([Opens()], dtype=object), pickled=True)
    with pytest.raises(UnreadableFileError, match="object"):
        read_arrays(archive(tmp_path / "file.npz", {"a.npy": pickled}))
    assert not (tmp_path / "made-by-pickle").exists()


def test_read_arrays_refuses_other_files(tmp_path):
    path = tmp_path / "file.npz"
    contents = [b"", b"PK\x03\x04", b"\0" * 100, npy(np.arange(3)), json.dumps({}).encode()]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(UnreadableFileError):
            read_arrays(path)
    with pytest.raises(UnreadableFileError, match="is no array"):
        read_arrays(archive(path, {"readme.txt": b"text"}))
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "absent.npz")


def test_read_arrays_refuses_what_is_damaged(tmp_path):
    """Every bit of the file counts: flipped, it gives the same arrays or an error of ours."""
    path = tmp_path / "file.npz"
    array = np.random.default_rng(0).integers(0, 3, 200, dtype=np.int8)
    np.savez_compressed(path, a=array)
    content = path.read_bytes()
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        try:
            read = read_arrays(path)
        except UnreadableFileError:
            continue
        for found in read.values():
            np.testing.assert_array_equal(found, array)
    for end in range(0, len(content), 7):
        path.write_bytes(content[:end])
        with pytest.raises(UnreadableFileError):
            read_arrays(path)


def test_read_arrays_stops_at_bombs(tmp_path):
    zeros = npy(np.zeros(50_000_000, np.uint8))
    path = archive(tmp_path / "bomb.npz", {"a.npy": zeros}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    with pytest.raises(UnreadableFileError, match="at most 10000000 are read"):
        read_arrays(path, max_inflated=10_000_000)
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with pytest.raises(UnreadableFileError, match="another way"):
            read_arrays(archive(path, {"a.npy": zeros[:1000]}, method))


def test_read_arrays_believes_no_directory(tmp_path):
    """The directory at the end of an archive may say what it likes of sizes."""
    path = archive(tmp_path / "file.npz", {"a.npy": npy(np.arange(8))})
    content = bytearray(path.read_bytes())
    start = content.index(b"PK\x01\x02")
    for size in (2**31, 2**32 - 2, 10):
        content[start + 24 : start + 28] = struct.pack("<I", size)
        path.write_bytes(content)
        with pytest.raises(UnreadableFileError):
            read_arrays(path)
