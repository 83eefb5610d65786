from __future__ import annotations

import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from spikeformer.compliance import DataSubject, PrivacyManager
from spikeformer.error_handling import ArgumentError, ComplianceError, LedgerTamperedError
from tests.compliance.records import ANNA, START, TRAINING, Clock, agreed, change, make, remove_head


@pytest.fixture
def clock():
    return Clock()


def everything_on_disk(folder):
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_registering_gives_no_right(manager):
    assert manager.register_data_subject(ANNA) is True
    assert manager.register_data_subject(ANNA) is False
    assert manager.refusal("anna", TRAINING) == "no_consent"
    assert manager.refusal("nobody", TRAINING) == "unknown"


def test_misuse(manager, tmp_path):
    with pytest.raises(ComplianceError, match="register zoe"):
        manager.record_consent("zoe", [TRAINING])
    manager.register_data_subject(ANNA)
    with pytest.raises(ArgumentError, match="at least one"):
        manager.record_consent("anna", [])
    with pytest.raises(ArgumentError, match="time zone"):
        manager.record_consent("anna", [TRAINING], expires=datetime(2030, 1, 1))
    with pytest.raises(ArgumentError, match="one of access"):
        manager.handle_data_subject_request("forget", "anna")
    with pytest.raises(ArgumentError, match="what to change"):
        manager.handle_data_subject_request("rectification", "anna", details={"subject_id": "x"})
    assert not manager.requests.all()
    with pytest.raises(ComplianceError, match="spikeformer privacy init"):
        PrivacyManager.open(tmp_path / "nowhere")


def test_nothing_personal_is_readable_on_disk(manager, tmp_path):
    manager.register_data_subject(ANNA)
    manager.record_consent("anna", [TRAINING], evidence="signed by Anna on paper")
    content = everything_on_disk(tmp_path)
    for word in ("anna", "Nowak", "example.org>", "Krak", "signed by"):
        assert word.encode() not in content, word


def test_erasure_leaves_noise_and_a_whole_chain(manager, tmp_path):
    manager.register_data_subject(ANNA)
    agreed(manager, "bob")
    pseudonym = manager.vault.pseudonym("anna")
    secret = manager.ledger.entries(pseudonym)[0].payload["personal"]
    answer = manager.handle_data_subject_request("erasure", "anna")
    assert answer["affected_runs"] == []
    assert manager.refusal("anna", TRAINING) == "unknown"
    assert manager.vault.pseudonym("anna") is None
    with pytest.raises(ComplianceError, match="erased"):
        manager.vault.decrypt(pseudonym, secret)
    assert manager.ledger.verify() == len(manager.ledger.entries())
    assert manager.refusal("bob", TRAINING) is None
    assert manager.requests.open() == []
    assert manager.register_data_subject(ANNA) is True
    assert manager.vault.pseudonym("anna") != pseudonym


def test_an_erasure_cut_short_is_finished(manager, tmp_path, monkeypatch):
    manager.register_data_subject(ANNA)
    pseudonym = manager.vault.pseudonym("anna")
    monkeypatch.setattr(manager.vault, "destroy", lambda _: None)  # killed before this
    manager.handle_data_subject_request("erasure", "anna")
    assert pseudonym in manager.vault.pseudonyms()
    assert pseudonym not in make(tmp_path).vault.pseudonyms()


def test_retention_erases_what_was_kept_long_enough(manager, clock):
    agreed(manager, "anna")
    agreed(manager, "bob")
    manager.withdraw_consent("anna")
    clock.forward(days=400)
    assert manager.apply_retention() == []  # nothing is decided yet
    manager.set_retention(365)
    assert len(manager.apply_retention()) == 1
    assert manager.refusal("anna", TRAINING) == "unknown"
    assert manager.refusal("bob", TRAINING) is None


def test_records_are_found_again_and_tampering_keeps_them_shut(manager, tmp_path):
    agreed(manager, "anna")
    again = PrivacyManager.open(tmp_path)
    assert again.organization_name == "Example Lab"
    assert again.refusal("anna", TRAINING) is None

    connection = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)
    connection.execute("DROP TRIGGER no_update")
    connection.execute("UPDATE entries SET payload = '{}' WHERE seq = 2")
    connection.close()
    with pytest.raises(LedgerTamperedError, match="entry 2"):
        PrivacyManager.open(tmp_path)


def test_recording_a_run_asks_again(manager, tmp_path):
    agreed(manager, "anna")
    agreed(manager, "bob")
    used = {manager.vault.pseudonym(name): 5 for name in ("anna", "bob")}
    manager.withdraw_consent("bob")
    options = {"subjects": used, "left_out": {}, "checkpoint": None, "cache": None}
    with pytest.raises(ComplianceError, match="1 person may not be used any more"):
        manager.record_run(tmp_path / "run", TRAINING, **options)
    assert manager.runs() == []
    manager.record_consent("bob", [TRAINING])
    assert manager.record_run(tmp_path / "run", TRAINING, **options).kind == "run"


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
