"""The caches that everything in a process shares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from spikeformer.caching.cache import Cache, TensorCache
from spikeformer.caching.stats import CacheStats
from spikeformer.config import registered


@dataclass(frozen=True)
class Caches:
    """The two shared caches.

    Attributes:
        tensors: Decoded data sets and other tensors.
        computations: Results of functions.
    """

    tensors: TensorCache
    computations: Cache

    @property
    def stats(self) -> CacheStats:
        """What both were asked so far."""
        return self.tensors.stats + self.computations.stats


_Settings = tuple[float, Path | None, float]
_lock = Lock()
_made: tuple[_Settings, Caches] | None = None


@registered
def configure_caches(
    memory_mib: float = 256.0, folder: str | Path | None = None, disk_gib: float = 4.0
) -> Caches:
    """Make the process's shared caches, or keep those that have these settings already.

    Args:
        memory_mib: Budget in memory of each, in MiB.
        folder: Folder on disk; None keeps everything in memory.
        disk_gib: Budget on disk of each, in GiB.

    Raises:
        ArgumentError: A budget is negative.
        ConfigurationError: The folder cannot be used.
        MissingDependencyError: A package that the disk needs is not installed.

    Example:
        >>> caches = configure_caches(memory_mib=64)
        >>> caches.tensors is get_tensor_cache()
        True
    """
    global _made
    where = None if folder is None else Path(folder).expanduser().absolute()
    settings = (memory_mib, where, disk_gib)
    with _lock:
        if _made is None or _made[0] != settings:
            parts = [where and where / name for name in ("tensors", "computations")]
            tensors = TensorCache(memory_mib=memory_mib, folder=parts[0], disk_gib=disk_gib)
            computations = Cache(memory_mib=memory_mib, folder=parts[1], disk_gib=disk_gib)
            _made = settings, Caches(tensors, computations)
        return _made[1]


def get_tensor_cache() -> TensorCache:
    """Return the shared cache of tensors, in memory unless `configure_caches` said otherwise."""
    return _shared().tensors


def get_computation_cache() -> Cache:
    """Return the shared cache of results, in memory unless `configure_caches` said otherwise."""
    return _shared().computations


def _shared() -> Caches:
    made = _made
    return configure_caches() if made is None else made[1]
