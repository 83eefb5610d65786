"""The tier in memory: what was used last stays, within a budget of bytes."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from threading import RLock

from spikeformer.caching.packing import Packed


@dataclass(frozen=True)
class Entry:
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
        self.nbytes = 0
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._lock = RLock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Entry | None:
        """Return an entry that is not too old."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if entry.expires is not None and entry.expires <= time.time():
                self.delete(key)
                return None
            self._entries.move_to_end(key)
            return entry

    def fits(self, packed: Packed) -> bool:
        """Whether a value could be kept at all."""
        return packed.nbytes <= self.max_bytes

    def put(self, key: str, entry: Entry) -> None:
        """Keep an entry, if it fits, and drop what was not used for longest."""
        with self._lock:
            self.delete(key)
            if not self.fits(entry.packed):
                return
            self._entries[key] = entry
            self.nbytes += entry.packed.nbytes
            while self.nbytes > self.max_bytes:
                self.delete(next(iter(self._entries)))

    def delete(self, key: str) -> None:
        """Forget an entry."""
        with self._lock:
            entry = self._entries.pop(key, None)
            if entry is not None:
                self.nbytes -= entry.packed.nbytes

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._entries.clear()
            self.nbytes = 0
