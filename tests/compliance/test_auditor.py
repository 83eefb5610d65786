"""The audit finds what was planted, with evidence, and nothing in records that are in order."""

from __future__ import annotations

import json

from spikeformer.compliance import ComplianceAuditor, ComplianceFramework
from tests.compliance.records import gaps, use


def test_records_in_order_have_no_gap(audited, tmp_path):
    use(audited, tmp_path / "run", "anna")
    report = ComplianceAuditor(audited).assess_gdpr_compliance()
    assert not report.has_gaps
    assert report.passed
    assert report.not_assessed
    assert report.facts["runs"] == 1
    assert "not legal advice" in str(report)
    json.dumps(report.to_dict())
    assert not gaps(audited, ComplianceFramework.CCPA)
