from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta

import pytest

from spikeformer.compliance import DataSubject, PrivacyManager, ProcessingPurpose, due_date
from spikeformer.compliance.law import ComplianceFramework, RequestType
from spikeformer.error_handling import ArgumentError, ComplianceError, LedgerTamperedError
from tests.compliance.records import START, TRAINING, Clock, agreed, make


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def manager(tmp_path, clock):
    return make(tmp_path, clock=clock)


ANNA = DataSubject("anna", "Anna Nowak", "anna@example.org", attributes={"city": "Kraków"})


def everything_on_disk(folder):
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_registering_gives_no_right(manager):
    assert manager.register_data_subject(ANNA) is True
    assert manager.register_data_subject(ANNA) is False
    assert manager.refusal("anna", TRAINING) == "no consent"
    assert manager.refusal("nobody", TRAINING) == "unknown"


def test_consent_is_for_a_purpose_and_a_time(manager, clock):
    manager.register_data_subject(ANNA)
    assert manager.record_consent("anna", [TRAINING], expires=START + timedelta(days=9)) is True
    assert manager.record_consent("anna", [TRAINING], expires=START + timedelta(days=9)) is False
    assert manager.refusal("anna", TRAINING) is None
    assert manager.refusal("anna", ProcessingPurpose.SHARING) == "no consent"
    clock.forward(days=9)
    assert manager.refusal("anna", TRAINING) == "expired"
    assert manager.record_consent("anna", [TRAINING]) is True
    assert manager.refusal("anna", TRAINING) is None
    assert manager.withdraw_consent("anna") is True
    assert manager.withdraw_consent("anna") is False
    assert manager.refusal("anna", TRAINING) == "withdrawn"
    assert manager.record_consent("anna", [TRAINING]) is True
    assert manager.refusal("anna", TRAINING) is None


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


def test_access_and_portability_tell_everything(manager):
    manager.register_data_subject(ANNA)
    manager.record_consent("anna", [TRAINING], evidence="form 7")
    answer = manager.handle_data_subject_request("access", "anna")
    assert answer["legal_reference"] == "GDPR Art. 15"
    assert answer["data"] == ANNA.to_dict()
    assert answer["consents"][0]["evidence"] == "form 7"
    assert answer["due"].startswith("2027-02-28")
    assert answer["status"] == "answered"
    assert "not legal advice" in answer["notice"]
    export = manager.handle_data_subject_request("portability", "anna")["export"]
    assert export["data"]["attributes"] == {"city": "Kraków"}


def test_rectification_restriction_and_objection(manager):
    manager.register_data_subject(ANNA)
    manager.record_consent("anna", list(ProcessingPurpose))
    manager.handle_data_subject_request("rectification", "anna", details={"name": "Anna Lis"})
    assert manager.handle_data_subject_request("access", "anna")["data"]["name"] == "Anna Lis"
    manager.handle_data_subject_request("restriction", "anna")
    assert manager.refusal("anna", TRAINING) == "restricted"
    assert manager.lift_restriction("anna") is True
    assert manager.refusal("anna", TRAINING) is None
    manager.handle_data_subject_request("objection", "anna", details={"purposes": ["sharing"]})
    assert manager.refusal("anna", ProcessingPurpose.SHARING) == "objected"
    assert manager.refusal("anna", TRAINING) is None


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


def test_deadlines_run_from_arrival(manager, clock):
    manager.register_data_subject(ANNA)
    request = manager.requests.receive("access", "anna")
    assert request.due == datetime(2027, 2, 28, 12, tzinfo=UTC)
    later = manager.requests.extend(request.request_id, "many requests at once")
    assert later.due == datetime(2027, 4, 30, 12, tzinfo=UTC)
    assert [each.request_id for each in manager.requests.open()] == [request.request_id]
    clock.forward(days=3)
    answer = manager.handle_data_subject_request("access", "anna")
    assert answer["request_id"] == request.request_id
    assert manager.requests.open() == []
    with pytest.raises(ArgumentError, match="open: none"):
        manager.requests.extend(request.request_id, "again")


def test_californian_requests(manager):
    manager.register_data_subject(DataSubject("carl", jurisdiction="US-CA"))
    answer = manager.handle_data_subject_request("delete", "carl")
    assert answer["legal_reference"] == "CCPA § 1798.105"
    assert answer["due"].startswith("2027-03-17")  # 45 days
    opt_out = due_date(START, RequestType.OBJECTION, ComplianceFramework.CCPA, extended=False)
    assert opt_out.date().isoformat() == "2027-02-19"  # 15 business days after a Sunday


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
    import sqlite3

    connection = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)
    connection.execute("DROP TRIGGER no_update")
    connection.execute("UPDATE entries SET payload = '{}' WHERE seq = 2")
    connection.close()
    with pytest.raises(LedgerTamperedError, match="entry 2"):
        PrivacyManager.open(tmp_path)


def test_retention_counts_from_the_end_of_the_last_consent(manager, clock):
    """From expiry, withdrawal or objection, whichever came first; not from when it was given."""
    for name in ("expires", "objects", "withdraws", "both", "late"):
        manager.register_data_subject(DataSubject(name))
    end = START + timedelta(days=300)
    manager.record_consent("expires", [TRAINING], expires=end)
    manager.record_consent("late", [TRAINING], expires=START + timedelta(days=50))
    manager.record_consent("both", [TRAINING], expires=end)
    manager.record_consent("both", ["research"], expires=START + timedelta(days=9))
    manager.record_consent("objects", [TRAINING])
    manager.record_consent("withdraws", [TRAINING], expires=end)
    manager.set_retention(100)
    clock.forward(days=200)
    manager.handle_data_subject_request("objection", "objects")
    manager.withdraw_consent("withdraws")
    manager.withdraw_consent("late")  # it had ended by itself at day 50

    def due(day):
        clock.now = START + timedelta(days=day)
        return {manager.person(state.pseudonym).subject_id for state in manager.beyond_retention()}

    assert due(200) == {"late"}
    assert due(299) == {"late"}
    assert due(300) == {"late", "objects", "withdraws"}
    assert due(399) == {"late", "objects", "withdraws"}
    assert due(400) == {"late", "objects", "withdraws", "expires", "both"}


def test_what_is_restricted_is_kept(manager, clock):
    """Art. 18(1): the person may want the data kept, as for legal claims."""
    agreed(manager, "anna")
    manager.set_retention(10)
    manager.withdraw_consent("anna")
    manager.handle_data_subject_request("restriction", "anna")
    clock.forward(days=100)
    assert manager.beyond_retention() == []
    manager.lift_restriction("anna")
    assert len(manager.beyond_retention()) == 1


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
