from __future__ import annotations

import hashlib
import json

import pytest

from spikeformer.files import (
    file_hash,
    remove_leftovers,
    replacing,
    value_hash,
    write_json,
    write_text,
)


def test_a_file_is_replaced_in_one_step(tmp_path):
    path = tmp_path / "new" / "folder" / "file.txt"
    write_text(path, "old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_removed(tmp_path):
    kept = [tmp_path / name for name in ("last.ckpt", ".gitignore", ".hydra")]
    left = tmp_path / "checkpoints" / ".4711.last.ckpt"
    for path in (*kept, left):
        write_text(path, "")
    remove_leftovers(tmp_path)
    assert not left.exists()
    assert all(path.exists() for path in kept)


def test_write_json_reads_back(tmp_path):
    value = {"µ": [1, 2.5, None], "name": "Energía"}
    write_json(tmp_path / "value.json", value)
    text = (tmp_path / "value.json").read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert "Energía" in text
    assert text.endswith("\n")


def test_a_value_that_is_no_json_leaves_no_file(tmp_path):
    with pytest.raises(TypeError):
        write_json(tmp_path / "value.json", {"a": object()})
    assert list(tmp_path.iterdir()) == []


def test_hashes(tmp_path):
    (tmp_path / "file").write_bytes(b"spikes")
    assert file_hash(tmp_path / "file") == hashlib.sha256(b"spikes").hexdigest()
    assert value_hash({"a": 1, "b": [2]}) == value_hash({"b": [2], "a": 1})
    assert value_hash({"a": 1}) != value_hash({"a": 2})
