"""What the validate stages found."""

from __future__ import annotations

from collections import Counter

from spikeformer.reporting.results import RunResults
from spikeformer.reporting.sections._section import Content, register_section
from spikeformer.validation import SEVERITIES

_LEVELS = {level.value: level for level in reversed(SEVERITIES)}


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
    known = [row for row in results.validation if row.get("level") in _LEVELS]
    order = list(_LEVELS)
    rows = sorted(known, key=lambda row: order.index(row["level"]))
    counts = Counter(row["level"] for row in rows)
    labels = {name: level.label for name, level in _LEVELS.items()}
    headline = ", ".join(
        f"{counts[name]} {label}" for name, label in labels.items() if counts[name]
    )
    return Content({"rows": rows, "headline": headline, "labels": labels})
