"""The audit finds what was planted, with evidence, and nothing in records that are in order."""

from __future__ import annotations

import json
import sqlite3

import pytest

from spikeformer.compliance import ComplianceAuditor, ComplianceFramework, DataSubject
from tests.compliance.records import TRAINING, Clock, agreed, make


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def manager(tmp_path, clock):
    manager = make(tmp_path / "records", clock=clock)
    agreed(manager, "anna")
    manager.set_retention(365)
    return manager


def gaps(manager, framework=ComplianceFramework.GDPR):
    report = ComplianceAuditor(manager).generate_compliance_report(framework)
    return {finding.reference: finding for finding in report.findings}


def run(manager, folder, *subjects, checkpoint=None):
    """A run as the pipeline records it, with a checkpoint."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").write_bytes(folder.name.encode())
    used = {manager.vault.pseudonym(name): 5 for name in subjects}
    manager.record_run(
        folder, TRAINING, subjects=used, left_out={}, checkpoint=checkpoint, cache=None
    )
    manager.record_outputs(folder, {"checkpoints/last.ckpt": f"hash of {folder.name}"})


def test_records_in_order_have_no_gap(manager, tmp_path):
    run(manager, tmp_path / "run", "anna")
    report = ComplianceAuditor(manager).assess_gdpr_compliance()
    assert not report.has_gaps
    assert report.passed
    assert report.not_assessed
    assert report.facts["runs"] == 1
    assert "not legal advice" in str(report)
    json.dumps(report.to_dict())
    assert not gaps(manager, ComplianceFramework.CCPA)


def test_missing_consent_and_evidence(manager):
    manager.register_data_subject(DataSubject("bob"))
    manager.register_data_subject(DataSubject("carl"))
    manager.record_consent("carl", [TRAINING])
    found = gaps(manager)
    assert manager.vault.pseudonym("bob") in found["GDPR Art. 6(1)"].evidence[0]
    assert manager.vault.pseudonym("carl") in found["GDPR Art. 7(1)"].evidence[0]
    assert len(found) == 2


def test_a_run_without_a_consent_at_the_time(manager, tmp_path):
    run(manager, tmp_path / "run", "anna")
    payload = manager.ledger.entries(kind="run")[0].payload
    manager.withdraw_consent("anna")
    with manager.ledger.writing() as writer:
        writer.append("run", payload)
    manager.record_consent("anna", [TRAINING], evidence="form 8")
    finding = gaps(manager)["GDPR Art. 5(1)(b), 6(1)(a)"]
    assert str(tmp_path / "run") in finding.evidence[0]
    assert "withdrawn" in finding.evidence[0]


def test_models_of_people_who_said_no(manager, tmp_path):
    agreed(manager, "bob")
    run(manager, tmp_path / "first", "anna", "bob")
    run(manager, tmp_path / "second", "bob", checkpoint="hash of first")
    assert not gaps(manager)
    manager.withdraw_consent("anna", [TRAINING])
    manager.record_consent("anna", ["research"], evidence="form 9")
    evidence = gaps(manager)["GDPR Art. 7(3), 18, 21"].evidence
    assert len(evidence) == 2  # also the run that started from the first one's weights
    answer = manager.handle_data_subject_request("erasure", "anna")
    assert [each["folder"] for each in answer["affected_runs"]] == [
        str(tmp_path / "first"),
        str(tmp_path / "second"),
    ]
    assert answer["affected_runs"][1]["through_weights_of_another_run"]
    assert answer["affected_runs"][0]["checkpoints"][0]["exists"]
    for framework in ComplianceFramework:
        found = gaps(manager, framework)
        (reference,) = found
        assert len(found[reference].evidence) == 2
        assert "17" in reference
    for name in ("first", "second"):
        (tmp_path / name / "checkpoints" / "last.ckpt").unlink()
    assert not gaps(manager)


def test_late_requests(manager, clock):
    manager.requests.receive("access", "anna")
    clock.forward(days=27)
    assert not gaps(manager)
    clock.forward(days=2)
    assert "open" in gaps(manager)["GDPR Art. 12(3)"].evidence[0]
    manager.handle_data_subject_request("access", "anna")
    assert "answered" in gaps(manager)["GDPR Art. 12(3)"].evidence[0]
    assert not gaps(manager, ComplianceFramework.CCPA)


def test_retention_contact_erasure_and_integrity(manager, clock, monkeypatch, tmp_path):
    manager.dpo_contact = "ask around"
    manager.withdraw_consent("anna")
    clock.forward(days=366)
    found = gaps(manager)
    assert set(found) == {"GDPR Art. 13(1)(b), 37(7)", "GDPR Art. 5(1)(e)", "GDPR Art. 6(1)"}
    monkeypatch.setattr(manager.vault, "destroy", lambda _: None)
    manager.apply_retention()
    assert "Keys of erased subjects" in gaps(manager)["GDPR Art. 17(1)"].message
    connection = sqlite3.connect(tmp_path / "records" / "keys.sqlite", isolation_level=None)
    connection.execute("CREATE TABLE copies (key)")
    connection.close()
    assert "copies" in gaps(manager)["GDPR Art. 5(1)(f), 5(2)"].evidence[0]


def test_no_retention_period(tmp_path):
    manager = make(tmp_path)
    agreed(manager, "anna")
    assert "not decided" in gaps(manager)["GDPR Art. 5(1)(e)"].message
