"""How often a cache had the value, and what that saved."""

from __future__ import annotations

from dataclasses import dataclass, fields

from spikeformer.i18n import format_list, t


@dataclass(frozen=True)
class CacheStats:
    """Counts since a cache was made.

    Attributes:
        memory_hits: Look-ups found in memory.
        disk_hits: Look-ups found on disk.
        misses: Look-ups that found nothing.
        seconds_saved: Time that the values found had once taken to compute, in s, less the time
            it took to find them.
    """

    memory_hits: int = 0
    disk_hits: int = 0
    misses: int = 0
    seconds_saved: float = 0.0

    @property
    def hits(self) -> int:
        """Look-ups that found a value."""
        return self.memory_hits + self.disk_hits

    @property
    def lookups(self) -> int:
        """How often it was asked."""
        return self.hits + self.misses

    @property
    def hit_rate(self) -> float:
        """Share of look-ups that found a value, 0 to 1; 0 if there was no look-up."""
        return self.hits / self.lookups if self.lookups else 0.0

    def __add__(self, other: CacheStats) -> CacheStats:
        return CacheStats(
            *(getattr(self, field.name) + getattr(other, field.name) for field in fields(self))
        )

    def __sub__(self, other: CacheStats) -> CacheStats:
        return CacheStats(
            *(getattr(self, field.name) - getattr(other, field.name) for field in fields(self))
        )

    def __str__(self) -> str:
        found = t("caching.found", hits=self.hits, lookups=self.lookups, rate=self.hit_rate)
        counts = {"caching.in_memory": self.memory_hits, "caching.on_disk": self.disk_hits}
        places = format_list(t(key, hits=hits) for key, hits in counts.items() if hits)
        saved = t("caching.saved", seconds=self.seconds_saved)
        return ", ".join([found, places, saved] if places else [found])
