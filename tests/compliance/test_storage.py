"""Private files: who may read them, and what happens where one is damaged."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing

import pytest

from spikeformer.compliance import PrivacyManager
from spikeformer.error_handling import ComplianceError, LedgerTamperedError
from tests.compliance.records import agreed, make, modes


@pytest.mark.parametrize("name", ["keys.sqlite", "ledger.sqlite"])
@pytest.mark.parametrize("start", [0, 100, 4096])
def test_overwritten_pages_are_tampering(folder, name, start):
    content = bytearray((folder / name).read_bytes())
    content[start : start + 3000] = b"\xff" * 3000
    (folder / name).write_bytes(content)
    with pytest.raises(LedgerTamperedError):
        PrivacyManager.open(folder)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_files_are_their_owners_alone(tmp_path, umask):
    before = os.umask(umask)
    try:
        manager = make(tmp_path / "records")
        agreed(manager, "anna")
        with closing(sqlite3.connect(manager.ledger.path)) as reader:  # keeps the journal there
            reader.execute("SELECT * FROM entries").fetchone()
            agreed(manager, "bob")
            found = modes(manager.folder)
    finally:
        os.umask(before)
    assert found.pop("records") == 0o700
    assert "ledger.sqlite-wal" in found
    assert found["keys.sqlite"] == found["ledger.sqlite"] == 0o600
    assert not any(mode & 0o077 for mode in found.values())


def test_open_files_are_closed_to_others(folder):
    folder.chmod(0o755)
    for file in ("keys.sqlite", "ledger.sqlite"):
        (folder / file).chmod(0o644)
    PrivacyManager.open(folder)
    assert set(modes(folder).values()) == {0o700, 0o600}


def test_a_folder_of_others_is_left_alone(tmp_path, folder):
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    shared.chmod(0o755)
    (shared / "thesis.tex").write_text("")
    with pytest.raises(ComplianceError, match="chmod 700"):
        make(shared)
    assert [file.name for file in shared.iterdir()] == ["thesis.tex"]
    assert stat.S_IMODE(shared.stat().st_mode) == 0o755
    (folder / "keys.sqlite").rename(tmp_path / "elsewhere")
    (folder / "keys.sqlite").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ComplianceError, match="a link"):
        PrivacyManager.open(folder)
