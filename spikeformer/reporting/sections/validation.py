"""What the validate stages found."""

from __future__ import annotations

from collections import Counter

from spikeformer.i18n import t
from spikeformer.reporting import formats
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
    if not any(found.results for found in results.validation.values()):
        return None
    when = {
        "validate": t("reporting.before_training"),
        "validate_trained": t("reporting.after_training"),
    }
    layers = list(results.test.firing_rates) if results.test is not None else []
    prefix = formats.common_prefix(layers)
    rows = [
        {
            **finding.to_dict(),
            "when": when[stage],
            "location": (finding.location or "").removeprefix(prefix),
        }
        for stage, found in results.validation.items()
        for finding in found.results
    ]
    rows.sort(key=lambda row: _ORDER.index(row["level"]))
    counts = Counter(row["level"] for row in rows)
    labels = {name: t(f"validation.level_{name}") for name in _ORDER}
    headline = ", ".join(
        f"{counts[name]} {label}" for name, label in labels.items() if counts[name]
    )
    shortened = any(
        (finding.location or "").startswith(prefix)
        for found in results.validation.values()
        for finding in found.results
    )
    note = formats.prefix_note(layers) if prefix and shortened else ""
    return Content({"rows": rows, "headline": headline, "labels": labels, "prefix_note": note})
