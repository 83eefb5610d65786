"""What did not have to be decoded or computed again."""

from __future__ import annotations

from spikeformer.i18n import t
from spikeformer.reporting import formats
from spikeformer.reporting.sections.section import Content, register_section
from spikeformer.runs.results import RunResults


@register_section("cache", title="Cache", order=58, source="manifest.json", optional=True)
def cache(results: RunResults) -> Content | None:
    """Show how often the caches were hit, and the time that saved."""
    found = results.cache
    if not found:
        return None
    hits = found["memory_hits"] + found["disk_hits"]
    lookups = hits + found["misses"]
    facts = [
        (t("reporting.cache_found"), t("reporting.cache_of", hits=hits, lookups=lookups)),
        (t("reporting.hit_rate"), formats.percent(found["hit_rate"])),
        (t("reporting.cache_memory"), str(found["memory_hits"])),
        (t("reporting.cache_disk"), str(found["disk_hits"])),
        (t("reporting.time_saved"), formats.duration(max(0.0, found["seconds_saved"]))),
    ]
    return Content({"facts": facts})
