from __future__ import annotations

import pytest

from spikeformer.files import UnsafePathError, inside, one_name


@pytest.mark.parametrize("name", ["a", "a/b.ckpt", "a/../b", "./a", "..a/..b", "a b"])
def test_inside_returns_what_lies_in_the_folder(tmp_path, name):
    path = inside(tmp_path, name)
    assert path.is_relative_to(tmp_path.resolve())
    assert path == (tmp_path / name).resolve()
    assert inside(tmp_path, path) == path


@pytest.mark.parametrize(
    "name", ["..", "../victim", "a/../../b", "/etc/passwd", "", ".", "a/..", "a\0b", "\udcff"]
)
def test_inside_refuses_what_leads_out(tmp_path, name):
    with pytest.raises(UnsafePathError, match="leads out of"):
        inside(tmp_path, name)


def test_inside_follows_links(tmp_path):
    folder, outside = tmp_path / "run", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "there").symlink_to(outside)
    (folder / "here").symlink_to(folder / "real")
    (folder / "circle").symlink_to(folder / "circle")
    assert inside(folder, "here/file") == folder / "real" / "file"
    for name in ("there", "there/file", "circle/file"):
        with pytest.raises(UnsafePathError):
            inside(folder, name)
    (tmp_path / "link").symlink_to(folder)
    assert inside(tmp_path / "link", "file") == folder / "file"


@pytest.mark.parametrize("name", ["run", "run-1 (ü)", "..run", "ラン", "x" * 200])
def test_one_name_accepts_names(name):
    assert one_name(name) == name


@pytest.mark.parametrize(
    "name", ["", " ", ".", "..", "../x", "a/b", "/a", "a\\b", "a\nb", "a\0", "\udcff", "ü" * 101]
)
def test_one_name_refuses_paths_and_what_no_file_can_have(name):
    with pytest.raises(UnsafePathError, match="cannot be the name"):
        one_name(name)
