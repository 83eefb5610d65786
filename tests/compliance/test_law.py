"""What the two laws ask for, and when."""

from __future__ import annotations

from spikeformer.compliance import DataSubject, due_date
from spikeformer.compliance.law import ComplianceFramework, RequestType
from tests.compliance.records import START


def test_californian_requests(manager):
    manager.register_data_subject(DataSubject("carl", jurisdiction="US-CA"))
    answer = manager.handle_data_subject_request("delete", "carl")
    assert answer["legal_reference"] == "CCPA § 1798.105"
    assert answer["due"].startswith("2027-03-17")  # 45 days
    opt_out = due_date(START, RequestType.OBJECTION, ComplianceFramework.CCPA, extended=False)
    assert opt_out.date().isoformat() == "2027-02-19"  # 15 business days after a Sunday
