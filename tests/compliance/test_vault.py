"""Keys of persons: somebody who has no master key cannot change, swap or replace them."""

from __future__ import annotations

import stat

import pytest

from spikeformer.compliance import PrivacyManager
from spikeformer.error_handling import ComplianceError, LedgerTamperedError
from tests.compliance.records import TRAINING, change, make, remove_head, swap


@pytest.mark.parametrize("column", ["lookup", "pseudonym", "wrapped"])
def test_people_cannot_be_swapped(folder, clock, column):
    """Bob's withdrawal must not become Anna's, nor her consent his."""
    manager = make(folder, clock=clock)
    swap(folder / "keys.sqlite", column)
    with pytest.raises(LedgerTamperedError):
        manager.refusals(["anna", "bob"], TRAINING)
    with pytest.raises(LedgerTamperedError):
        PrivacyManager.open(folder)


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


def test_a_ciphertext_cannot_be_moved_to_another_person(folder):
    manager = PrivacyManager.open(folder)
    anna, bob = (manager.vault.pseudonym(name) for name in ("anna", "bob"))
    with pytest.raises(LedgerTamperedError):
        manager.vault.decrypt(anna, manager.vault.encrypt(bob, "secret"))
    for text in ("", "no base64!", "é"):
        with pytest.raises(LedgerTamperedError):
            manager.vault.decrypt(anna, text)


def test_the_key_is_its_owners(manager, tmp_path, monkeypatch):
    key = tmp_path / "master.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.chmod(0o640)
    with pytest.raises(ComplianceError, match="chmod 600"):
        make(tmp_path)
    key.chmod(0o600)
    monkeypatch.setenv("SPIKEFORMER_PRIVACY_KEY", key.read_text())
    key.unlink()
    assert make(tmp_path).ledger.verify()
    monkeypatch.setenv("SPIKEFORMER_PRIVACY_KEY", "A" * 43 + "=")
    with pytest.raises(ComplianceError, match="another master key"):
        make(tmp_path)
    monkeypatch.setenv("SPIKEFORMER_PRIVACY_KEY", "short")
    with pytest.raises(ComplianceError, match="32 bytes"):
        make(tmp_path)
    monkeypatch.delenv("SPIKEFORMER_PRIVACY_KEY")
    with pytest.raises(ComplianceError, match="absent"):
        make(tmp_path)
