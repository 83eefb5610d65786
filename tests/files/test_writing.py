from __future__ import annotations

import hashlib
import json
import subprocess
import sys

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


KILLED = """
import os, signal, sys
from pathlib import Path
from spikeformer.files import replacing
with replacing(Path(sys.argv[1])) as path:
    path.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_removed(tmp_path):
    target = tmp_path / "checkpoints" / "last.ckpt"
    subprocess.run([sys.executable, "-c", KILLED, str(target)], check=False)
    (left,) = target.parent.iterdir()
    assert left.read_text() == "half"
    remove_leftovers(tmp_path)
    assert list(target.parent.iterdir()) == []


def test_what_only_looks_like_a_leftover_stays(tmp_path):
    folder, outside = tmp_path / "run", tmp_path / "outside"
    mark = "0123456789ab"
    names = (
        ".4711.last.ckpt",
        ".1.2.3",
        ".gitignore",
        f".spikeformer-1-{mark}",
        ".spikeformer-x.y",
    )
    for name in names:
        write_text(folder / name, "mine")
    foreign = outside / f".spikeformer-1-{mark}.last.ckpt"
    write_text(foreign, "mine")
    (folder / foreign.name).symlink_to(foreign)
    (folder / "linked").symlink_to(outside)
    (folder / "sub" / foreign.name).mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    remove_leftovers(folder)
    assert sorted(tmp_path.rglob("*")) == before
    assert foreign.read_text() == "mine"


def test_two_writers_of_one_file_do_not_meet_in_one_process(tmp_path):
    path = tmp_path / "file.txt"
    with replacing(path) as first, replacing(path) as second:
        first.write_text("1")
        second.write_text("2")
    assert path.read_text() == "1"


def test_a_link_is_replaced_not_written_through(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("mine")
    link.symlink_to(target)
    write_text(link, "ours")
    assert target.read_text() == "mine"
    assert link.read_text() == "ours"


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
