"""Whose data the run used, and whose it left out."""

from __future__ import annotations

from spikeformer.reporting.results import RunResults
from spikeformer.reporting.sections._section import Content, register_section


@register_section(
    "privacy", title="Consents", order=56, source="results/privacy.json", optional=True
)
def privacy(results: RunResults) -> Content | None:
    """Show how many people agreed, and how many samples were left out for want of consent."""
    found = results.privacy
    if not found:
        return None
    facts = [
        ("Purpose", found["purpose"].replace("_", " ")),
        ("Used", f"{found['samples']:,} samples of {found['subjects']} subjects"),
        *(
            (f"Left out: {reason}", f"{each['samples']:,} samples of {each['subjects']} subjects")
            for reason, each in found["left_out"].items()
        ),
        ("Controller", found["organization"]),
        ("Ledger", f"entry {found['ledger']['entry']}, {found['ledger']['mac'][:16]}…"),
    ]
    return Content({"facts": facts, "notice": found["notice"]})
