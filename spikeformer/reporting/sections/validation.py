"""What the validate stages found."""

from __future__ import annotations

from collections import Counter

from spikeformer.i18n import t
from spikeformer.reporting.sections.section import Content, register_section
from spikeformer.runs.results import RunResults

_ORDER = ("critical", "error", "warning", "info")


@register_section(
    "validation",
    title="Validation",
    order=42,
    source="results/validation.json",
    optional=True,
)
def validation(results: RunResults) -> Content | None:
    """Show findings, the worst first, each with its place and its remedy."""
    if not results.validation:
        return None
    known = [row for row in results.validation if row.get("level") in _ORDER]
    rows = sorted(known, key=lambda row: _ORDER.index(row["level"]))
    counts = Counter(row["level"] for row in rows)
    labels = {name: t(f"validation.level_{name}") for name in _ORDER}
    headline = ", ".join(
        f"{counts[name]} {label}" for name, label in labels.items() if counts[name]
    )
    return Content({"rows": rows, "headline": headline, "labels": labels})
