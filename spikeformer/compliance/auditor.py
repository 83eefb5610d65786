"""Audits of what is on record."""

from __future__ import annotations

from collections import Counter

from spikeformer.compliance.checks import CHECKS, Records
from spikeformer.compliance.law import ComplianceFramework
from spikeformer.compliance.manager import PrivacyManager
from spikeformer.compliance.report import ComplianceReport
from spikeformer.error_handling import LedgerTamperedError
from spikeformer.i18n import t

NOT_ASSESSED = {
    ComplianceFramework.GDPR: [
        "compliance.duty_information",
        "compliance.duty_other_bases",
        "compliance.duty_children",
        "compliance.duty_processors",
        "compliance.duty_breaches",
        "compliance.duty_impact",
        "compliance.duty_other_use",
    ],
    ComplianceFramework.CCPA: [
        "compliance.duty_notices",
        "compliance.duty_applies",
        "compliance.duty_contracts",
        "compliance.duty_security",
        "compliance.duty_other_use",
    ],
}
"""Messages of the duties that the records do not show."""


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
                try:
                    found = check.findings(records, framework)
                except LedgerTamperedError:
                    continue  # the check of the ledger itself says so
                findings += found
                if not found:
                    passed.append(f"{t(check.title)} ({check.references[framework]})")
        return ComplianceReport(
            framework,
            self.manager.organization_name,
            self.manager.dpo_contact,
            self.manager.now(),
            findings,
            passed,
            [t(duty) for duty in NOT_ASSESSED[framework]],
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
