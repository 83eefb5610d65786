"""A cache with a tier in memory and, if asked for, one on disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from torch import Tensor

from spikeformer.caching.memory import CacheEntry, MemoryTier
from spikeformer.caching.packing import Packed, pack, unpack
from spikeformer.caching.stats import CacheStats
from spikeformer.error_handling import (
    ArgumentError,
    MissingDependencyError,
    check_positive,
)
from spikeformer.i18n import t

if TYPE_CHECKING:
    from spikeformer.caching.disk import DiskTier

T = TypeVar("T")

_ABSENT = object()
MIB, GIB = 2**20, 2**30


class Cache:
    """Keeps values under keys: least recently used ones go when a tier's budget is spent.

    What comes out shares no memory with what is kept, so changing it changes nothing here. Values
    are what `pack` accepts: tensors, arrays and plain data. Threads may share a cache, and
    processes may share a folder.

    Args:
        memory_mib: Budget in memory in MiB; 0 keeps nothing there.
        folder: Folder of the tier on disk; None has none.
        disk_gib: Budget on disk in GiB.

    Raises:
        ArgumentError: A budget is negative.
        ConfigurationError: The folder cannot be used.
        MissingDependencyError: `diskcache` or `safetensors` is not installed.

    Example:
        >>> cache = Cache(memory_mib=1)
        >>> cache.put("rates", [0.1, 0.2])
        >>> cache.get("rates"), cache.get("other")
        ([0.1, 0.2], None)
        >>> cache.stats.hit_rate
        0.5
    """

    def __init__(
        self,
        *,
        memory_mib: float = 256.0,
        folder: str | Path | None = None,
        disk_gib: float = 4.0,
    ) -> None:
        if memory_mib < 0:
            raise ArgumentError("memory_mib", memory_mib, "a number of at least 0")
        check_positive("disk_gib", disk_gib)
        self.memory = MemoryTier(int(memory_mib * MIB))
        self.disk = None if folder is None else _disk_tier(folder, int(disk_gib * GIB))
        self._stats = CacheStats()
        self._lock = threading.Lock()
        self._computing: dict[str, _Turn] = {}

    @property
    def stats(self) -> CacheStats:
        """What it was asked so far, by this process."""
        return self._stats

    def __contains__(self, key: str) -> bool:
        return self._find(key)[0] is not None

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value under `key`, or `default`."""
        value = self._look_up(key)
        return default if value is _ABSENT else value

    def put(self, key: str, value: Any, *, ttl: float | None = None) -> None:
        """Keep a value.

        Args:
            key: Its key.
            value: What `pack` accepts.
            ttl: For how long, in s; None is until others need the place.

        Raises:
            ArgumentError: The value cannot be kept, or `ttl` is not above 0.
        """
        self._keep(key, pack(value), ttl, 0.0)

    def get_or_compute(self, key: str, compute: Callable[[], T], *, ttl: float | None = None) -> T:
        """Return the value under `key`; compute and keep it if there is none.

        Threads that ask for the same key at once compute it once.

        Args:
            key: The key.
            compute: Returns the value.
            ttl: For how long to keep it, in s.

        Raises:
            ArgumentError: The value cannot be kept, or `ttl` is not above 0.
        """
        _check_ttl(ttl)
        with self._turn(key):
            found = self._look_up(key)
            if found is not _ABSENT:
                return found
            start = time.perf_counter()
            value = compute()
            self._keep(key, pack(value), ttl, time.perf_counter() - start)
            return value

    def delete(self, key: str) -> None:
        """Forget a value."""
        self.memory.delete(key)
        if self.disk is not None:
            self.disk.delete(key)

    def clear(self) -> None:
        """Forget everything, on disk too."""
        self.memory.clear()
        if self.disk is not None:
            self.disk.clear()

    def _look_up(self, key: str) -> Any:
        start = time.perf_counter()
        entry, where = self._find(key)
        value: Any = _ABSENT
        if entry is not None:
            try:
                value = unpack(entry.packed.clone() if where == "memory" else entry.packed)
            except ValueError:  # an intact file that some other program wrote
                self.delete(key)
        if value is _ABSENT or entry is None:
            self._count(CacheStats(misses=1))
            return _ABSENT
        saved = entry.seconds - (time.perf_counter() - start) if entry.seconds else 0.0
        counted = {"memory": CacheStats(1, 0, 0, saved), "disk": CacheStats(0, 1, 0, saved)}
        self._count(counted[where])
        return value

    def _find(self, key: str) -> tuple[CacheEntry | None, str]:
        """Return an entry and where it was; what was on disk only gets into memory too."""
        entry = self.memory.get(key)
        if entry is not None or self.disk is None:
            return entry, "memory"
        entry = self.disk.get(key)
        if entry is not None and self.memory.fits(entry.packed):
            self.memory.put(key, CacheEntry(entry.packed.clone(), entry.expires, entry.seconds))
        return entry, "disk"

    def _keep(self, key: str, packed: Packed, ttl: float | None, seconds: float) -> None:
        _check_ttl(ttl)
        expires = None if ttl is None else time.time() + ttl
        if self.memory.fits(packed):
            self.memory.put(key, CacheEntry(packed.clone(), expires, seconds))
        else:
            self.memory.delete(key)
        if self.disk is not None:
            self.disk.put(key, CacheEntry(packed, expires, seconds))

    def _count(self, more: CacheStats) -> None:
        with self._lock:
            self._stats = self._stats + more

    @contextmanager
    def _turn(self, key: str) -> Iterator[None]:
        """Let one thread at a time work on a key."""
        with self._lock:
            turn = self._computing.setdefault(key, _Turn())
            turn.waiting += 1
        try:
            with turn.lock:
                yield
        finally:
            with self._lock:
                turn.waiting -= 1
                if not turn.waiting:
                    self._computing.pop(key, None)


class _Turn:
    """The lock of one key, and how many threads have or want it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.waiting = 0


def _check_ttl(ttl: float | None) -> None:
    if ttl is not None:
        check_positive("ttl", ttl)


def _disk_tier(folder: str | Path, max_bytes: int) -> DiskTier:
    try:
        from spikeformer.caching.disk import DiskTier
    except ModuleNotFoundError as error:
        raise MissingDependencyError(t("caching.needs_package", name=error.name)) from error
    return DiskTier(Path(folder).expanduser().absolute(), max_bytes)


class TensorCache(Cache):
    """A `Cache` whose values are single tensors, dense and of any type.

    Example:
        >>> import torch
        >>> cache = TensorCache(memory_mib=1)
        >>> cache.put_tensor("spikes", torch.ones(2))
        >>> cache.get_tensor("spikes"), cache.get_tensor("other")
        (tensor([1., 1.]), None)
    """

    def put_tensor(self, key: str, tensor: Tensor, *, ttl: float | None = None) -> None:
        """Keep a copy of a tensor, for `ttl` s or until others need the place.

        Raises:
            ArgumentError: It is no tensor, not dense, or not detached.
        """
        if not isinstance(tensor, Tensor):
            raise ArgumentError("tensor", type(tensor).__name__, "a torch.Tensor")
        self.put(key, tensor, ttl=ttl)

    def get_tensor(self, key: str) -> Tensor | None:
        """Return a copy of the tensor under `key`, or None."""
        value = self.get(key)
        return value if isinstance(value, Tensor) else None

    def tensor_or_compute(self, key: str, compute: Callable[[], Tensor]) -> Tensor:
        """Return the tensor under `key`; compute and keep it if there is none."""
        return self.get_or_compute(key, compute)
