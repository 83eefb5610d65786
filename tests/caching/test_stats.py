from __future__ import annotations

from spikeformer.caching import CacheStats


def test_cache_stats_add_up():
    first, second = CacheStats(3, 1, 4, 2.5), CacheStats(1, 0, 1, 0.5)
    assert first + second == CacheStats(4, 1, 5, 3.0)
    assert first - second == CacheStats(2, 1, 3, 2.0)
    assert (first.hits, first.lookups, first.hit_rate) == (4, 8, 0.5)
    assert CacheStats().hit_rate == 0


def test_cache_stats_say_where_values_were():
    assert str(CacheStats(3, 0, 1, 2.0)).count(",") == 2
    assert "disk" not in str(CacheStats(3, 0, 1, 2.0))
    assert "disk" in str(CacheStats(3, 2, 1, 2.0))
    assert "," not in str(CacheStats(0, 0, 2))
