"""Somebody who can write into the folder of records, and does not have the master key."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

import pytest

from spikeformer.compliance import DataSubject, PrivacyManager
from spikeformer.error_handling import ComplianceError, LedgerTamperedError
from tests.compliance.records import START, TRAINING, Clock, agreed, make


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def folder(tmp_path, clock):
    """Anna agreed, Bob withdrew, Carl was erased."""
    folder = tmp_path / "records"
    manager = make(folder, clock=clock)
    for name in ("anna", "bob", "carl"):
        agreed(manager, name)
    manager.withdraw_consent("bob")
    manager.handle_data_subject_request("erasure", "carl")
    return folder


def change(file, *statements):
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for name in ("no_update", "no_delete"):
            connection.execute(f"DROP TRIGGER IF EXISTS {name}")
        for statement in statements:
            connection.execute(statement)


def remove_head(folder):
    for file in folder.glob("*head*"):
        file.unlink()


def swap(file, column):
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        rows = connection.execute(f"SELECT rowid, {column} FROM keys ORDER BY rowid").fetchall()
        (a, first), (b, second) = rows[:2]
        update = f"UPDATE keys SET {column} = ? WHERE rowid = ?"
        connection.execute(update, ("aside", a))
        connection.execute(update, (first, b))
        connection.execute(update, (second, a))


@pytest.mark.parametrize("column", ["lookup", "pseudonym", "wrapped"])
def test_people_cannot_be_swapped(folder, clock, column):
    """Bob's withdrawal must not become Anna's, nor her consent his."""
    manager = make(folder, clock=clock)
    swap(folder / "keys.sqlite", column)
    with pytest.raises(LedgerTamperedError):
        manager.refusals(["anna", "bob"], TRAINING)
    with pytest.raises(LedgerTamperedError):
        PrivacyManager.open(folder)


@pytest.mark.parametrize("kept", ["seq < 4", "seq = 1", "seq < 1"])
def test_a_cut_ledger_is_not_sealed_by_the_next_writer(folder, clock, kept):
    change(folder / "ledger.sqlite", f"DELETE FROM entries WHERE NOT ({kept})")
    remove_head(folder)
    for _ in range(2):
        with pytest.raises(LedgerTamperedError):
            make(folder, clock=clock).register_data_subject(DataSubject("dora"))
        with pytest.raises(LedgerTamperedError):
            PrivacyManager.open(folder)


def test_rows_cut_while_it_is_open(folder, clock):
    manager = make(folder, clock=clock)
    assert manager.refusal("bob", TRAINING) == "withdrawn"
    change(folder / "ledger.sqlite", "DELETE FROM entries WHERE kind = 'withdrawn'")
    with pytest.raises(LedgerTamperedError):
        manager.refusal("bob", TRAINING)
    with pytest.raises(LedgerTamperedError):
        manager.register_data_subject(DataSubject("dora"))


@pytest.mark.parametrize("gone", ["ledger.*", "keys.*", "*.sqlite*", "master.key"])
def test_nothing_is_begun_beside_old_keys(folder, gone):
    for file in folder.glob(gone):
        file.unlink()
    remove_head(folder)
    for _ in range(2):
        with pytest.raises(ComplianceError):
            make(folder)
        with pytest.raises(ComplianceError):
            PrivacyManager.open(folder)


def test_a_missing_key_is_noticed(folder):
    change(folder / "keys.sqlite", "DELETE FROM keys WHERE rowid = 2")
    with pytest.raises(LedgerTamperedError, match="the key of 1 person"):
        PrivacyManager.open(folder)


def test_an_older_ledger_beside_newer_keys_is_noticed(folder, tmp_path, clock):
    manager = make(folder, clock=clock)
    shutil.copytree(folder, tmp_path / "old")
    manager.withdraw_consent("anna")
    for file in folder.glob("ledger*"):
        file.unlink()
    for file in (tmp_path / "old").glob("ledger*"):
        shutil.copy(file, folder)
    with pytest.raises(LedgerTamperedError, match="older copy"):
        PrivacyManager.open(folder)


KEYS = {
    "no table": "DROP TABLE keys",
    "another column": "ALTER TABLE keys RENAME COLUMN wrapped TO w",
    "no blob": "UPDATE keys SET wrapped = 7",
    "an empty blob": "UPDATE keys SET wrapped = x''",
    "no text": "UPDATE keys SET pseudonym = CAST(x'ff' || rowid AS TEXT)",
    "a trigger": "CREATE TRIGGER k AFTER DELETE ON keys BEGIN SELECT 1; END",
    "a copy": "CREATE TABLE k AS SELECT * FROM keys",
}


@pytest.mark.parametrize("what", KEYS)
def test_changed_keys_are_tampering(folder, what):
    change(folder / "keys.sqlite", KEYS[what])
    with pytest.raises(LedgerTamperedError):
        PrivacyManager.open(folder).refusals(["anna", "bob"], TRAINING)


@pytest.mark.parametrize("name", ["keys.sqlite", "ledger.sqlite"])
@pytest.mark.parametrize("start", [0, 100, 4096])
def test_overwritten_pages_are_tampering(folder, name, start):
    content = bytearray((folder / name).read_bytes())
    content[start : start + 3000] = b"\xff" * 3000
    (folder / name).write_bytes(content)
    with pytest.raises(LedgerTamperedError):
        PrivacyManager.open(folder)


def test_a_ciphertext_cannot_be_moved_to_another_person(folder):
    manager = PrivacyManager.open(folder)
    anna, bob = (manager.vault.pseudonym(name) for name in ("anna", "bob"))
    with pytest.raises(LedgerTamperedError):
        manager.vault.decrypt(anna, manager.vault.encrypt(bob, "secret"))
    for text in ("", "no base64!", "é"):
        with pytest.raises(LedgerTamperedError):
            manager.vault.decrypt(anna, text)


def test_a_clock_set_back_revives_no_consent(tmp_path, clock):
    manager = make(tmp_path / "records", clock=clock)
    manager.register_data_subject(DataSubject("anna"))
    manager.record_consent("anna", [TRAINING], expires=START + timedelta(days=9))
    clock.forward(days=10)
    assert manager.refusal("anna", TRAINING) == "expired"
    clock.forward(days=-5)
    assert manager.refusal("anna", TRAINING) == "expired"
    again = PrivacyManager.open(tmp_path / "records", clock=clock)
    assert again.refusal("anna", TRAINING) == "expired"


def test_entries_never_go_back_in_time(tmp_path, clock):
    manager = make(tmp_path / "records", clock=clock)
    manager.register_data_subject(DataSubject("anna"))
    manager.record_consent("anna", [TRAINING], expires=START + timedelta(days=9))
    clock.forward(days=10)
    manager.register_data_subject(DataSubject("bob"))  # something was written after it ended
    clock.forward(days=-20)
    assert manager.refusal("anna", TRAINING) == "expired"
    agreed(manager, "carl")
    times = [entry.time for entry in manager.ledger.entries()]
    assert times == sorted(times)


def modes(folder):
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in [folder, *folder.iterdir()]}


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


def test_threads_share_one_manager(folder):
    manager = PrivacyManager.open(folder)

    def work(number):
        agreed(manager, f"person {number}")
        assert manager.refusal(f"person {number}", TRAINING) is None
        manager.withdraw_consent(f"person {number}")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(12)))
    assert manager.verify() == len(manager.ledger.entries())
    assert {manager.refusal(f"person {n}", TRAINING) for n in range(12)} == {"withdrawn"}


def test_managers_begin_together(tmp_path):
    with ThreadPoolExecutor(6) as pool:
        managers = list(pool.map(lambda _: make(tmp_path / "records"), range(6)))
    agreed(managers[0], "anna")
    assert {each.refusal("anna", TRAINING) for each in managers} == {None}
