"""The configuration."""

from __future__ import annotations

from spikeformer.reporting.sections.section import Content, register_section
from spikeformer.runs.results import RunResults


@register_section("configuration", title="Configuration", order=50, source="config.yaml")
def configuration(results: RunResults) -> Content | None:
    """Show the overrides, and the whole configuration folded away."""
    if results.config_text is None and not results.overrides:
        return None
    return Content({"overrides": results.overrides, "text": (results.config_text or "").strip()})
