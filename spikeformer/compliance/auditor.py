"""Audits of what is on record."""

from __future__ import annotations

from collections import Counter

from spikeformer.compliance.checks import CHECKS, Records
from spikeformer.compliance.law import ComplianceFramework
from spikeformer.compliance.manager import PrivacyManager
from spikeformer.compliance.report import ComplianceReport

NOT_ASSESSED = {
    ComplianceFramework.GDPR: [
        "information given to data subjects (Art. 13, 14)",
        "legal bases other than consent, and special categories of data (Art. 6(1)(b)-(f), 9)",
        "consent of children (Art. 8)",
        "processors and transfers to third countries (Art. 28, 44-49)",
        "breaches and their notification (Art. 33, 34)",
        "impact assessment (Art. 35)",
        "use of the data outside of runs with compliance=gdpr",
    ],
    ComplianceFramework.CCPA: [
        "notices at collection and privacy policy (§ 1798.100, 1798.130(a)(5))",
        "whether the law applies to the business (§ 1798.140(d))",
        "contracts with service providers (§ 1798.100(d))",
        "reasonable security (§ 1798.150)",
        "use of the data outside of runs with compliance=gdpr",
    ],
}
"""Duties that the records do not show."""


class ComplianceAuditor:
    """Looks for gaps in what a `PrivacyManager` has on record. A tool, not legal advice.

    Args:
        manager: The records.

    Example:
        >>> import tempfile
        >>> manager = PrivacyManager("Example Lab", "dpo@example.org", folder=tempfile.mkdtemp())
        >>> ComplianceAuditor(manager).assess_gdpr_compliance().has_gaps
        False
    """

    def __init__(self, manager: PrivacyManager) -> None:
        self.manager = manager

    def assess_gdpr_compliance(self) -> ComplianceReport:
        """Return the gaps under the GDPR."""
        return self.generate_compliance_report(ComplianceFramework.GDPR)

    def generate_compliance_report(self, framework: ComplianceFramework) -> ComplianceReport:
        """Return the gaps under a law, and what is on record."""
        framework, records = ComplianceFramework(framework), Records(self.manager)
        findings, passed = [], []
        for check in CHECKS:
            if framework in check.references:
                found = check.findings(records, framework)
                findings += found
                if not found:
                    passed.append(f"{check.title} ({check.references[framework]})")
        return ComplianceReport(
            framework,
            self.manager.organization_name,
            self.manager.dpo_contact,
            self.manager.clock(),
            findings,
            passed,
            NOT_ASSESSED[framework],
            self._facts(records),
        )

    def _facts(self, records: Records) -> dict[str, object]:
        purposes = Counter(purpose for state in records.present for purpose in state.consents)
        return {
            "subjects": len(records.present),
            "erased_subjects": len(records.states) - len(records.present),
            "consents_by_purpose": dict(purposes),
            "runs": len({run.folder for run in records.runs}),
            "requests": len(records.requests),
            "open_requests": sum(request.answered is None for request in records.requests),
            "retention_days": self.manager.retention_days,
            "ledger_entries": len(records.entries),
        }
