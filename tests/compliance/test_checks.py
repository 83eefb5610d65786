"""Each check finds what was planted, with evidence."""

from __future__ import annotations

import sqlite3

from spikeformer.compliance import ComplianceFramework, DataSubject
from tests.compliance.records import TRAINING, agreed, gaps, make, use


def test_missing_consent_and_evidence(audited):
    audited.register_data_subject(DataSubject("bob"))
    audited.register_data_subject(DataSubject("carl"))
    audited.record_consent("carl", [TRAINING])
    found = gaps(audited)
    assert audited.vault.pseudonym("bob") in found["GDPR Art. 6(1)"].evidence[0]
    assert audited.vault.pseudonym("carl") in found["GDPR Art. 7(1)"].evidence[0]
    assert len(found) == 2


def test_a_run_without_a_consent_at_the_time(audited, tmp_path):
    use(audited, tmp_path / "run", "anna")
    payload = audited.ledger.entries(kind="run")[0].payload
    audited.withdraw_consent("anna")
    with audited.ledger.writing() as writer:
        writer.append("run", payload)
    audited.record_consent("anna", [TRAINING], evidence="form 8")
    finding = gaps(audited)["GDPR Art. 5(1)(b), 6(1)(a)"]
    assert str(tmp_path / "run") in finding.evidence[0]
    assert "withdrawn" in finding.evidence[0]


def test_late_requests(audited, clock):
    audited.requests.receive("access", "anna")
    clock.forward(days=27)
    assert not gaps(audited)
    clock.forward(days=2)
    assert "open" in gaps(audited)["GDPR Art. 12(3)"].evidence[0]
    audited.handle_data_subject_request("access", "anna")
    assert "answered" in gaps(audited)["GDPR Art. 12(3)"].evidence[0]
    assert not gaps(audited, ComplianceFramework.CCPA)


def test_retention_contact_erasure_and_integrity(audited, clock, monkeypatch, tmp_path):
    audited.dpo_contact = "ask around"
    audited.withdraw_consent("anna")
    clock.forward(days=366)
    found = gaps(audited)
    assert set(found) == {"GDPR Art. 13(1)(b), 37(7)", "GDPR Art. 5(1)(e)", "GDPR Art. 6(1)"}
    monkeypatch.setattr(audited.vault, "destroy", lambda _: None)
    audited.apply_retention()
    assert "Keys of erased subjects" in gaps(audited)["GDPR Art. 17(1)"].message
    connection = sqlite3.connect(tmp_path / "records" / "keys.sqlite", isolation_level=None)
    connection.execute("CREATE TABLE copies (key)")
    connection.close()
    assert "copies" in gaps(audited)["GDPR Art. 5(1)(f), 5(2)"].evidence[0]


def test_no_retention_period(tmp_path):
    audited = make(tmp_path)
    agreed(audited, "anna")
    assert "not decided" in gaps(audited)["GDPR Art. 5(1)(e)"].message
