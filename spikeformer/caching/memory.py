"""The tier in memory: what was used last stays, within a budget of bytes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from threading import RLock

from cachetools import LRUCache

from spikeformer.caching.packing import Packed


@dataclass(frozen=True)
class CacheEntry:
    """What a tier keeps under a key.

    Attributes:
        packed: The value.
        expires: When it is too old, in s since the epoch; None is never.
        seconds: What it took to compute, in s.
    """

    packed: Packed
    expires: float | None = None
    seconds: float = 0.0


class MemoryTier:
    """Least recently used entries go first when the budget is spent. Safe between threads.

    Args:
        max_bytes: The budget; 0 keeps nothing.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._lock = RLock()
        self.clear()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def nbytes(self) -> int:
        """Size of what is kept, in bytes."""
        return int(self._entries.currsize)

    def get(self, key: str) -> CacheEntry | None:
        """Return an entry that is not too old."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and entry.expires is not None and entry.expires <= time.time():
                del self._entries[key]
                return None
            return entry

    def fits(self, packed: Packed) -> bool:
        """Whether a value could be kept at all."""
        return packed.nbytes <= self.max_bytes

    def put(self, key: str, entry: CacheEntry) -> None:
        """Keep an entry, if it fits, and drop what was not used for longest."""
        with self._lock:
            self._entries.pop(key, None)
            if self.fits(entry.packed):
                self._entries[key] = entry

    def delete(self, key: str) -> None:
        """Forget an entry."""
        with self._lock:
            self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._entries: LRUCache[str, CacheEntry] = LRUCache(
                self.max_bytes, getsizeof=lambda entry: entry.packed.nbytes
            )
