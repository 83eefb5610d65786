"""The tier on disk: budget, damage, and what belongs to others."""

from __future__ import annotations

import os
import pickle
import sqlite3
import warnings

import diskcache
import pytest
import torch
from safetensors.torch import save_file

from spikeformer.caching import Cache, pack
from spikeformer.error_handling import ArgumentError, ConfigurationError
from tests.caching.test_cache import VALUE
from tests.forking import Forked


def test_the_disk_keeps_its_budget(tmp_path):
    cache = Cache(memory_mib=0, folder=tmp_path, disk_gib=1 / 1024)
    for number in range(20):
        cache.put(str(number), torch.zeros(50_000))
    assert sum(f.stat().st_size for f in tmp_path.rglob("*.safetensors")) <= 2**20
    assert "19" in cache
    assert "0" not in cache


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damaged_files_are_dropped_with_a_warning(tmp_path, damage):
    cache = Cache(memory_mib=0, folder=tmp_path)
    cache.put("k", VALUE)
    (file,) = tmp_path.rglob("*.safetensors")
    content = file.read_bytes()
    if damage == "remove":
        file.unlink()
    else:
        file.write_bytes(content[:-9] if damage == "cut" else content[:-1] + b"\xff")
    with pytest.warns(UserWarning, match="damaged cache entry"):
        assert cache.get("k") is None
    assert "k" not in cache
    assert not list(tmp_path.rglob("*.safetensors"))
    cache.put("k", 1)
    assert cache.get("k") == 1


def test_a_changed_number_is_found_where_the_file_still_reads(tmp_path):
    cache = Cache(memory_mib=0, folder=tmp_path)
    cache.put("k", torch.full((8,), 1.5))
    (file,) = tmp_path.rglob("*.safetensors")
    one, other = (torch.tensor(value).numpy().tobytes() for value in (1.5, 2.5))
    content = file.read_bytes()
    assert content.count(one) == 8
    file.write_bytes(content.replace(one, other, 1))
    with pytest.warns(UserWarning, match="has changed since it was written"):
        assert cache.get("k") is None


def test_a_damaged_index_is_begun_anew_and_other_files_stay(tmp_path):
    Cache(memory_mib=0, folder=tmp_path).put("k", 1)
    (tmp_path / "mine.txt").write_text("mine")
    for file in tmp_path.glob("cache.db*"):
        file.write_bytes(b"no database" * 100)
    with pytest.warns(UserWarning, match="index is damaged"):
        cache = Cache(memory_mib=0, folder=tmp_path)
    assert cache.get("k") is None
    cache.put("k", 2)
    assert cache.get("k") == 2
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_new_index_removes_only_what_a_cache_wrote(tmp_path):
    folder, outside = tmp_path / "cache", tmp_path / "outside"
    Cache(memory_mib=0, folder=folder).put("k", 1)
    (own,) = folder.rglob("*.safetensors")
    hexadecimal = "0123456789abcdef0123456789ab"
    names = ("ab/cd/model.safetensors", f"ab/cd/{hexadecimal}.safetensors", "cache.db.backup")
    outside.joinpath("cd").mkdir(parents=True)
    (folder / "ef").symlink_to(outside)
    for path in (*(folder / name for name in names), outside / "cd" / f"{hexadecimal}.safetensors"):
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({"weights": torch.ones(2)}, path)
    before = tree(tmp_path)
    (folder / "cache.db").write_bytes(b"no database" * 100)
    with pytest.warns(UserWarning, match="index is damaged"):
        Cache(memory_mib=0, folder=folder)
    index = {folder / f"cache.db{ending}" for ending in ("", "-wal", "-shm")}
    after = tree(tmp_path)
    expected = {path: content for path, content in before.items() if path not in {own, *index}}
    assert {path: content for path, content in after.items() if path not in index} == expected


@pytest.mark.parametrize("name", ["../victim.safetensors", "mine.safetensors", "link", "LINKED"])
@pytest.mark.parametrize("way", ["get", "delete", "clear", "evict", "replace"])
def test_a_row_names_no_file_of_others(tmp_path, name, way):
    folder = tmp_path / "cache"
    cache = Cache(memory_mib=0, folder=folder, disk_gib=1 / 1024)
    cache.put("k", 1)
    (own,) = folder.rglob("*.safetensors")
    for victim in (tmp_path / "victim.safetensors", folder / "mine.safetensors"):
        victim.write_bytes(own.read_bytes())
    (folder / "link").symlink_to(tmp_path / "victim.safetensors")
    name = name.replace("LINKED", own.relative_to(folder).as_posix())
    own.unlink()
    own.symlink_to(tmp_path / "victim.safetensors")
    for foreign in ("../victim.safetensors", str(tmp_path / "victim.safetensors")):
        with sqlite3.connect(folder / "cache.db") as index:
            value = foreign if name.startswith("..") else name
            index.execute("UPDATE Cache SET filename = ?", (value,))
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            if way == "evict":
                for number in range(12):
                    cache.put(str(number), torch.zeros(50_000))
            elif way == "replace":
                cache.put("k", 2)
            else:
                assert getattr(cache, way)(*(["k"] if way != "clear" else [])) is None
        assert (tmp_path / "victim.safetensors").is_file()
        assert (folder / "mine.safetensors").is_file()


@pytest.mark.parametrize("name", ["cache.db", "CACHEDIR.TAG"])
def test_another_programs_cache_is_left_alone(tmp_path, name):
    foreign = diskcache.Cache(str(tmp_path))
    foreign.set("theirs", "x" * 100_000)
    foreign.close()
    if name == "CACHEDIR.TAG":
        (tmp_path / "cache.db").unlink()
        (tmp_path / name).write_text("Signature: 8a477f597d28d172789f06886806bc55\n# mypy")
    before = tree(tmp_path)
    with pytest.raises(ConfigurationError, match=rf"{name} is another program's"):
        Cache(folder=tmp_path)
    assert tree(tmp_path) == before


def test_only_old_temporary_files_of_a_cache_are_removed(tmp_path):
    Cache(folder=tmp_path)
    mark = "-1-0123456789ab.x.safetensors"
    paths = [tmp_path / "ab" / "cd" / n for n in (f".spikeformer{mark}", ".mine", ".1.2.3")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        os.utime(path, (0, 0))
    (tmp_path / "ef").symlink_to(tmp_path / "ab")
    young = tmp_path / "ab" / "cd" / f".spikeformer{mark}.y"
    young.write_text("")
    Cache(folder=tmp_path)
    assert [path.exists() for path in (*paths, young)] == [False, True, True, True]


def test_a_new_folder_is_closed_to_others(tmp_path):
    Cache(folder=tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0


def test_nothing_is_ever_unpickled(tmp_path):
    """A stranger's row says that its value, or its key, is a pickle."""
    cache = Cache(memory_mib=0, folder=tmp_path)
    cache.put("k", 1)
    with sqlite3.connect(tmp_path / "cache.db") as index:
        bomb = sqlite3.Binary(pickle.dumps(Bomb()))
        index.execute("UPDATE Cache SET mode = 4, filename = NULL, value = ?", (bomb,))
    with pytest.warns(UserWarning, match="damaged cache entry"):
        assert cache.get("k") is None
    assert "pickle" not in pack(VALUE).structure
    with pytest.raises(ArgumentError, match="fields"):
        cache.put("k", Bomb())


def test_a_folder_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"cache\.folder=FOLDER"):
        Cache(folder=tmp_path / "file")


def fill(folder):
    warnings.simplefilter("error")
    cache = Cache(memory_mib=0, folder=folder, disk_gib=1 / 1024)
    for number in range(30):
        key = str(number % 7)
        x = cache.get_or_compute(key, lambda key=key: torch.full((20_000,), float(key)))
        assert (x == float(key)).all(), key


def test_processes_share_a_folder(tmp_path):
    both = [Forked(fill, tmp_path) for _ in range(2)]
    for done in [process.communicate() for process in both]:
        assert done.stderr == ""
        assert done.returncode == 0
    cache = Cache(memory_mib=0, folder=tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all((cache.get(str(n)) == n).all() for n in range(7))


def tree(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('unpickled')",)
