"""An audit's report, for people and for programs."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from spikeformer.compliance import ComplianceFramework, ComplianceReport, Finding

FINDING = Finding(
    "GDPR Art. 12(3)", "A request is late.", ["request r-1, due 2027-03-02"], "Answer."
)


def report(*findings):
    return ComplianceReport(
        ComplianceFramework.GDPR,
        "Example Lab",
        "dpo@example.org",
        datetime(2027, 3, 4, 10, 20, tzinfo=UTC),
        list(findings),
        ["Consents are on record."],
        ["Whether the purpose is right."],
        {"runs": 3},
    )


def test_compliance_report_for_programs():
    content = json.loads(json.dumps(report(FINDING).to_dict()))
    assert (content["framework"], content["created"]) == ("gdpr", "2027-03-04T10:20:00+00:00")
    assert content["findings"] == [vars(FINDING)]
    assert "not legal advice" in content["notice"]


def test_compliance_report_for_people():
    text = str(report(FINDING))
    place = text.index("**GDPR Art. 12(3)**: A request is late.")
    assert place < text.index("request r-1") < text.index("Answer.")
    for part in ("# GDPR: Example Lab", "dpo@example.org", "- Consents are on record.", ": 3"):
        assert part in text
    assert report(FINDING).has_gaps


def test_compliance_report_without_gaps_says_so():
    assert not report().has_gaps
    assert "None in what is on record" in str(report())
