"""What an audit found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from spikeformer.compliance.law import ComplianceFramework, notice
from spikeformer.i18n import t


@dataclass(frozen=True)
class Finding:
    """One gap.

    Attributes:
        reference: The rule, as "GDPR Art. 12(3)".
        message: What is missing.
        evidence: Where that shows: entries of the ledger, requests, files.
        remedy: What to do.
    """

    reference: str
    message: str
    evidence: list[str]
    remedy: str


@dataclass(frozen=True)
class ComplianceReport:
    """The result of an audit. It is about what is on record, and no legal advice.

    Attributes:
        framework: The law.
        organization_name: Whose records they are.
        dpo_contact: Where people reach the data protection officer.
        created: When it was made.
        findings: Gaps, with evidence.
        passed: What was looked at without a finding.
        not_assessed: Duties that no such tool can see.
        facts: Counts and policies: subjects, purposes, runs, retention (GDPR Art. 30(1)).
    """

    framework: ComplianceFramework
    organization_name: str
    dpo_contact: str
    created: datetime
    findings: list[Finding]
    passed: list[str]
    not_assessed: list[str]
    facts: dict[str, Any]

    @property
    def has_gaps(self) -> bool:
        """Whether anything was found. That nothing was does not prove compliance."""
        return bool(self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return {
            **asdict(self),
            "framework": self.framework.value,
            "created": self.created.isoformat(timespec="seconds"),
            "notice": notice(),
        }

    def __str__(self) -> str:
        """The report as Markdown."""
        gaps = [line for finding in self.findings for line in _lines(finding)]
        facts = [f"- {t(f'compliance.fact_{name}')}: {value}" for name, value in self.facts.items()]
        made = f"{self.created:%Y-%m-%d %H:%M}"
        return "\n".join(
            [
                f"# {self.framework.name}: {self.organization_name}",
                t("compliance.made", time=made, contact=self.dpo_contact, notice=notice()),
                f"\n## {t('compliance.gaps', number=len(self.findings))}",
                *(gaps or [t("compliance.no_gaps")]),
                f"\n## {t('compliance.without_finding')}",
                *(f"- {line}" for line in self.passed),
                f"\n## {t('compliance.not_assessed')}",
                *(f"- {line}" for line in self.not_assessed),
                f"\n## {t('compliance.on_record')}",
                *facts,
            ]
        )


def _lines(finding: Finding) -> list[str]:
    return [
        f"- **{finding.reference}**: {finding.message}",
        *(f"    - {line}" for line in finding.evidence),
        f"    - {t('compliance.remedy', remedy=finding.remedy)}",
    ]
