"""How often the caches were hit, on the page."""

from __future__ import annotations

from types import SimpleNamespace

from spikeformer.i18n import use_locale
from spikeformer.reporting.sections.cache import cache


def test_cache_section_speaks():
    kept = {"memory_hits": 2, "disk_hits": 1, "misses": 1, "hit_rate": 0.75, "seconds_saved": 4.0}
    with use_locale("es"):
        hits = dict(cache(SimpleNamespace(cache=kept)).values["facts"])
    assert hits["Encontrados"] == "3 de 4"


def test_cache_section_is_left_out_without_caches():
    assert cache(SimpleNamespace(cache=None)) is None
