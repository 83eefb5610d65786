"""Toolchains are found by the mark that their installer leaves last."""

from __future__ import annotations

import pytest

from spikeformer.cross_platform.toolchains import (
    FOLDER_VARIABLE,
    installed_toolchains,
    toolchain_folders,
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "chosen"))
    return tmp_path / "chosen"


def install(folder, name, *, done=True):
    python = folder / name / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    if done:
        (folder / name / ".installed").touch()
    return python


def test_installed_toolchains_are_those_that_are_complete(folder):
    lava = install(folder, "lava")
    install(folder, "half", done=False)
    (folder / "empty").mkdir()
    (folder / "empty" / ".installed").touch()
    assert installed_toolchains() == {"lava": lava}


def test_toolchain_folders_are_the_chosen_one_alone_or_those_around(folder, tmp_path, monkeypatch):
    assert toolchain_folders() == [folder]
    monkeypatch.delenv(FOLDER_VARIABLE)
    monkeypatch.chdir(tmp_path)
    repository, here = toolchain_folders()
    assert here == tmp_path / ".toolchains"
    assert (repository.parent / "spikeformer").is_dir()
    monkeypatch.chdir(repository.parent)
    assert toolchain_folders() == [repository]
