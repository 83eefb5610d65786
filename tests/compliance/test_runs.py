"""Runs are traced from person to weights."""

from __future__ import annotations

from spikeformer.compliance import ComplianceFramework
from tests.compliance.records import TRAINING, agreed, gaps, use


def test_models_of_people_who_said_no(audited, tmp_path):
    agreed(audited, "bob")
    use(audited, tmp_path / "first", "anna", "bob")
    use(audited, tmp_path / "second", "bob", checkpoint="hash of first")
    assert not gaps(audited)
    audited.withdraw_consent("anna", [TRAINING])
    audited.record_consent("anna", ["research"], evidence="form 9")
    evidence = gaps(audited)["GDPR Art. 7(3), 18, 21"].evidence
    assert len(evidence) == 2  # also the run that started from the first one's weights
    answer = audited.handle_data_subject_request("erasure", "anna")
    assert [each["folder"] for each in answer["affected_runs"]] == [
        str(tmp_path / "first"),
        str(tmp_path / "second"),
    ]
    assert answer["affected_runs"][1]["through_weights_of_another_run"]
    assert answer["affected_runs"][0]["checkpoints"][0]["exists"]
    for framework in ComplianceFramework:
        found = gaps(audited, framework)
        (reference,) = found
        assert len(found[reference].evidence) == 2
        assert "17" in reference
    for name in ("first", "second"):
        (tmp_path / name / "checkpoints" / "last.ckpt").unlink()
    assert not gaps(audited)
