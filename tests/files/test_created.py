from __future__ import annotations

import os

import pytest

from spikeformer.files import Created, recording, replacing, write_text


def test_what_was_made_is_removed_with_its_folders(tmp_path):
    created = Created()
    run = tmp_path / "day" / "run"
    with recording(created):
        write_text(run / "config.yaml", "seed: 0")
        write_text(run / "checkpoints" / "last.ckpt", "weights")
    created.remove(run)
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_stays(tmp_path):
    before = tmp_path / "run" / "config.yaml"
    write_text(before, "mine")
    (tmp_path / "run" / "empty").mkdir()
    created = Created()
    with recording(created):
        write_text(before, "new")
        write_text(tmp_path / "run" / "empty" / "made.txt", "")
    created.remove(tmp_path / "run")
    assert before.read_text() == "new"
    assert list((tmp_path / "run" / "empty").iterdir()) == []


def test_what_others_put_there_stays(tmp_path):
    created = Created()
    run = tmp_path / "run"
    with recording(created):
        write_text(run / "config.yaml", "")
        write_text(run / "overrides.yaml", "")
    (run / "notes.txt").write_text("a person's")
    (run / "other").write_text("another program's")
    (run / "other").replace(run / "config.yaml")
    created.remove(run)
    assert sorted(path.name for path in run.iterdir()) == ["config.yaml", "notes.txt"]
    assert (run / "config.yaml").read_text() == "another program's"


def test_other_folders_stay(tmp_path):
    created = Created()
    with recording(created):
        write_text(tmp_path / "sweep" / "0" / "file", "")
        write_text(tmp_path / "sweep" / "1" / "file", "")
    created.remove(tmp_path / "sweep" / "1")
    assert [path.name for path in (tmp_path / "sweep").iterdir()] == ["0"]
    created.remove(tmp_path / "sweep" / "0")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make_link", [os.symlink, os.link])
def test_a_link_is_not_followed(tmp_path, make_link):
    target = tmp_path / "target"
    created = Created()
    created.note_absent(tmp_path / "file")
    target.write_text("mine")
    make_link(target, tmp_path / "file")
    created.note_made(tmp_path / "file")
    created.remove(tmp_path)
    assert target.read_text() == "mine"


def test_nothing_is_recorded_outside(tmp_path):
    created = Created()
    with recording(created):
        pass
    with replacing(tmp_path / "file") as path:
        path.write_text("")
    created.remove(tmp_path)
    assert (tmp_path / "file").exists()
