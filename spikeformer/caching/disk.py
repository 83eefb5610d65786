"""The tier on disk: safetensors files, and an SQLite index of them kept by `diskcache`."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
import stat
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import diskcache
import torch
from diskcache.core import MODE_BINARY, UNKNOWN
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from spikeformer.caching.memory import CacheEntry
from spikeformer.caching.packing import Packed
from spikeformer.error_handling import ConfigurationError
from spikeformer.files import (
    UnsafePathError,
    file_hash,
    inside,
    is_temporary,
    replacing,
    write_text,
)
from spikeformer.i18n import t

T = TypeVar("T")

FORMAT = "spikeformer cache"
TAG = """Signature: 8a477f597d28d172789f06886806bc55
# This folder holds a cache of SpikeFormer: cache.db and the files that it names.
"""
"""Content of `CACHEDIR.TAG` (https://bford.info/cachedir), which says whose the index is."""

STRUCTURE = "structure"
"""Name of the tensor that holds the JSON, as UTF-8 bytes."""

ABANDONED_SECONDS = 3600.0
"""Age at which a temporary file belongs to a process that was killed."""


class CorruptEntryError(Exception):
    """A file is absent, damaged, or not what the index says."""


class SafetensorsDisk(diskcache.Disk):
    """How `diskcache` writes and reads: keys as text, values as safetensors with their SHA-256.

    The library's own way is pickle, which runs what a stranger put into the folder. Nothing here
    unpickles: a row of any other kind is refused.
    """

    def put(self, key: str) -> tuple[str, bool]:
        """Return the key as the index holds it."""
        return key, True

    def get(self, key: Any, raw: bool) -> str:
        """Return the key from the index."""
        if not raw or not isinstance(key, str):
            raise CorruptEntryError("a key that is no text")
        return key

    def filename(self, key: Any = UNKNOWN, value: Any = UNKNOWN) -> tuple[str, str]:
        """Return a new name, relative and absolute."""
        relative, absolute = super().filename(key, value)
        name, path = (str(Path(p).with_suffix(".safetensors")) for p in (relative, absolute))
        return name, path

    def store(self, value: CacheEntry, read: bool, key: Any = UNKNOWN) -> tuple[int, int, str, str]:
        """Write a file; return its size, kind, name and hash for the index."""
        name, path = self.filename(key, value)
        with replacing(Path(path)) as temporary:
            metadata = {"format": FORMAT, "seconds": repr(value.seconds)}
            save_file(_with_structure(value.packed), temporary, metadata)
            size, digest = temporary.stat().st_size, file_hash(temporary)
        return size, MODE_BINARY, name, digest

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> CacheEntry:
        """Read a file that is what the index says."""
        if mode != MODE_BINARY or not filename:
            raise CorruptEntryError("a row of a kind that is not written here")
        path = _own_file(Path(self._directory), filename)
        if path is None:
            raise CorruptEntryError("a row of a kind that is not written here")
        try:
            if file_hash(path) != value:
                raise CorruptEntryError(f"{path} has changed since it was written")
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                seconds = float(file.metadata()["seconds"])
            structure = tensors.pop(STRUCTURE).numpy().tobytes().decode()
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise CorruptEntryError(f"{path} cannot be read: {error}") from error
        return CacheEntry(Packed(tensors, structure), seconds=seconds)

    def remove(self, file_path: str) -> None:
        """Remove a file that a row of the index names, if it is one that `store` writes."""
        path = _own_file(Path(self._directory), file_path)
        with suppress(OSError):
            if path is not None:
                path.unlink()
                path.parent.rmdir()
                path.parent.parent.rmdir()


def _own_file(folder: Path, name: str) -> Path | None:
    """Return the path of a file that has such a name as `store` gives, and is no link elsewhere."""
    if not re.fullmatch(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{28}\.safetensors", name):
        return None
    try:
        path = inside(folder, name)
    except UnsafePathError:
        return None
    return path if path == folder.resolve() / name else None


def _is_marked(path: Path) -> bool:
    """Tell whether a file says that a cache wrote it."""
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("format") == FORMAT
    except (OSError, SafetensorError):
        return False


def _with_structure(packed: Packed) -> dict[str, Tensor]:
    """Return the tensors, each with memory of its own, and the structure as one more."""
    structure = torch.frombuffer(bytearray(packed.structure.encode()), dtype=torch.uint8)
    seen: set[int] = set()
    tensors = {STRUCTURE: structure}
    for name, tensor in packed.tensors.items():
        place = tensor.untyped_storage().data_ptr()
        tensors[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return tensors


class DiskTier:
    """Entries on disk, shared by every thread and process that opens the folder.

    A file is written whole before the index names it. What is damaged is dropped with a warning
    and counts as never kept; a full disk costs the entry, not the run.

    Args:
        folder: Where files and index lie.
        max_bytes: The budget; least recently used entries go first.

    Raises:
        ConfigurationError: The folder cannot be used.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder, self.max_bytes = folder, max_bytes
        try:
            # What is cached may be people's data: nobody else reads it in a folder made here.
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._claim()
            self._remove_abandoned()
            self._index = self._open()
        except OSError as error:
            reason = error.strerror or error
            raise ConfigurationError(
                t("caching.folder_refused", folder=folder, reason=reason)
            ) from error

    def __len__(self) -> int:
        return int(self._safely(lambda: len(self._index), 0))

    @property
    def nbytes(self) -> int:
        """Size of files and index in bytes."""
        return int(self._safely(lambda: self._index.volume(), 0))

    def get(self, key: str) -> CacheEntry | None:
        """Return an entry that is not too old, and is as it was written."""
        found: tuple[CacheEntry | None, float | None]
        try:
            found = self._safely(
                lambda: self._index.get(key, expire_time=True, retry=True),
                (None, None),
            )
        except CorruptEntryError as error:
            warnings.warn(t("caching.dropped", reason=error), stacklevel=3)
            self.delete(key)
            return None
        entry, expires = found
        return None if entry is None else CacheEntry(entry.packed, expires, entry.seconds)

    def put(self, key: str, entry: CacheEntry) -> None:
        """Keep an entry, if it fits."""
        if entry.packed.nbytes > self.max_bytes:
            return
        ttl = None if entry.expires is None else max(0.0, entry.expires - time.time())
        try:
            self._safely(lambda: self._index.set(key, entry, expire=ttl, retry=True), False)
        except OSError as error:
            message = t("caching.not_written", folder=self.folder, reason=error)
            warnings.warn(message, stacklevel=3)

    def delete(self, key: str) -> None:
        """Forget an entry and remove its file."""
        self._safely(lambda: self._index.delete(key, retry=True), False)

    def clear(self) -> None:
        """Forget all entries and remove their files."""
        self._safely(lambda: self._index.clear(retry=True), 0)

    def close(self) -> None:
        """Close this thread's connection to the index."""
        self._index.close()

    def _open(self) -> Any:
        try:
            return self._make_index()
        except sqlite3.DatabaseError as error:
            return self._start_anew(error)

    def _make_index(self) -> Any:
        return diskcache.Cache(
            str(self.folder),
            disk=SafetensorsDisk,
            size_limit=self.max_bytes,
            eviction_policy="least-recently-used",
        )

    def _safely(self, work: Callable[[], T], otherwise: T) -> T:
        """Do something with the index; if that is damaged, start a new one instead."""
        try:
            return work()
        except sqlite3.DatabaseError as error:
            self._index.close()
            self._index = self._start_anew(error)
            return otherwise

    def _start_anew(self, error: sqlite3.DatabaseError) -> Any:
        warnings.warn(t("caching.emptied", folder=self.folder, reason=error), stacklevel=4)
        for ending in ("", "-wal", "-shm", "-journal"):
            (self.folder / f"cache.db{ending}").unlink(missing_ok=True)
        for path in self.folder.glob("??/??/*.safetensors"):
            own = _own_file(self.folder, path.relative_to(self.folder).as_posix())
            if own is not None and _is_marked(own):
                own.unlink(missing_ok=True)
        return self._make_index()

    def _claim(self) -> None:
        """Mark an index of our own before it is made, and refuse that of another program.

        The folder may hold other things: nothing of theirs is changed or removed.

        Raises:
            OSError: The index is not ours.
        """
        tag = self.folder / "CACHEDIR.TAG"
        if tag.is_file() and tag.read_bytes() == TAG.encode():
            return
        for path in (tag, self.folder / "cache.db"):
            if os.path.lexists(path):
                raise FileExistsError(errno.EEXIST, t("caching.foreign_file", name=path.name))
        write_text(tag, TAG)

    def _remove_abandoned(self) -> None:
        """Remove temporary files of processes that were killed while they wrote."""
        for path in self.folder.glob("??/??/.*"):
            name = path.relative_to(self.folder).as_posix()
            with suppress(OSError, UnsafePathError):
                is_ours = is_temporary(path.name) and inside(self.folder, name).samefile(path)
                status = path.lstat()
                old = time.time() - status.st_mtime > ABANDONED_SECONDS
                if is_ours and old and stat.S_ISREG(status.st_mode):
                    path.unlink()
