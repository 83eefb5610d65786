"""Files are the same if nothing touched them, or if their content is the same all the same."""

from __future__ import annotations

import os
import shutil

import pytest

from spikeformer.files import KnownFiles, content, files_in


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("abc")
    return path


@pytest.fixture
def digest(tmp_path):
    """Ask as a new process would, with what the last one wrote down."""

    def ask(*files, **options):
        known = KnownFiles(tmp_path / "inputs.json", **options)
        found = known.digest(files)
        known.save()
        return found

    return ask


def test_a_replaced_file_is_another_even_with_the_same_size_and_time(file, digest):
    before, times = digest(file), file.stat()
    file.write_text("abd")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert digest(file) != before


def test_the_same_content_written_again_is_the_same(file, digest, tmp_path):
    before = digest(file)
    shutil.copy(file, tmp_path / "copy")
    (tmp_path / "copy").replace(file)
    os.utime(file, (1, 1))
    assert digest(file) == before


def test_files_that_nothing_touched_are_not_read_again(file, digest, monkeypatch):
    before = digest(file)
    monkeypatch.setattr(content, "file_hash", lambda path: pytest.fail(f"reads {path}"))
    assert digest(file) == before


def test_a_further_file_and_another_name_count(file, digest, tmp_path):
    before = digest(file)
    other = tmp_path / "other.csv"
    other.write_text("")
    assert len({before, digest(file, other), digest(other), digest()}) == 4
    assert digest() == ""


def test_large_files_are_told_by_size_and_times(file, digest, monkeypatch):
    monkeypatch.setattr(content, "file_hash", lambda path: pytest.fail(f"reads {path}"))
    before = digest(file, largest=2)
    assert digest(file, largest=2) == before
    os.utime(file, (1, 1))
    assert digest(file, largest=2) != before


def test_a_damaged_record_counts_as_empty(file, digest, tmp_path):
    before = digest(file)
    (tmp_path / "inputs.json").write_text("[")
    assert digest(file) == before


def test_files_in_a_folder(tmp_path, file):
    (tmp_path / "sub").mkdir()
    assert files_in(tmp_path) == [file]
    assert files_in(file) == files_in(tmp_path / "absent") == []
