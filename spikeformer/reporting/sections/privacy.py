"""Whose data the run used, and whose it left out."""

from __future__ import annotations

from spikeformer.compliance import UseCount, notice, refusal_label
from spikeformer.i18n import t
from spikeformer.reporting.sections.section import Content, register_section
from spikeformer.runs.results import RunResults


@register_section(
    "privacy", title="Consents", order=56, source="results/privacy.json", optional=True
)
def privacy(results: RunResults) -> Content | None:
    """Show how many people agreed, and how many samples were left out for want of consent."""
    found = results.privacy
    if found is None:
        return None
    ledger = found.ledger
    entry = t("reporting.ledger_entry", number=ledger.entry, mac=ledger.mac[:16])
    facts = [
        (t("reporting.purpose"), t(f"reporting.purpose_{found.purpose.value}")),
        (t("reporting.used"), _samples(found.used)),
        *(
            (t("reporting.left_out_for", reason=refusal_label(reason)), _samples(each))
            for reason, each in found.left_out.items()
        ),
        (t("reporting.controller"), found.organization),
        (t("reporting.ledger"), entry),
    ]
    return Content({"facts": facts, "notice": notice()})


def _samples(use: UseCount) -> str:
    return t("reporting.samples_of_subjects", samples=use.samples, count=use.subjects)
