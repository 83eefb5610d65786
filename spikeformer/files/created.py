"""What a process made, so that this and nothing else can be taken back."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

_recorder: ContextVar[Created | None] = ContextVar("recorder", default=None)


class Created:
    """Files and folders that were made here; what was there before is never among them.

    Example:
        >>> created = Created()
        >>> created.note_folder(Path("new/run"))
        >>> Path("new/run").mkdir(parents=True)
        >>> created.remove(Path("new/run"))
        >>> Path("new").exists()
        False
    """

    def __init__(self) -> None:
        self._files: dict[Path, tuple[int, int]] = {}
        self._folders: set[Path] = set()
        self._absent: set[Path] = set()

    def note_folder(self, path: Path) -> None:
        """Note, before a folder is made, what of it and its parents is not there yet."""
        path = path.absolute()
        self._folders.update(p for p in (path, *path.parents) if not os.path.lexists(p))

    def note_absent(self, path: Path) -> None:
        """Note, before a file may be made, that it is not there; `note_made` then counts it."""
        if not os.path.lexists(path):
            self._absent.add(path.absolute())

    def note_made(self, path: Path) -> None:
        """Count a file as made here if `note_absent` has not found it."""
        path = path.absolute()
        if path in self._absent and path.is_file() and not path.is_symlink():
            self._files[path] = _identity(path)

    def remove(self, within: Path) -> None:
        """Remove the files made in a folder, then the folders made that are empty.

        A file that something else has replaced stays, and so does each folder that holds one.
        """
        within = within.absolute()
        for path in [path for path in self._files if path.is_relative_to(within)]:
            identity = self._files.pop(path)
            with suppress(OSError):
                if _identity(path) == identity and stat.S_ISREG(path.lstat().st_mode):
                    path.unlink()
        near = {p for p in self._folders if p.is_relative_to(within) or within.is_relative_to(p)}
        for path in sorted(near, key=lambda p: len(p.parts), reverse=True):
            with suppress(OSError):  # not empty
                path.rmdir()
                self._folders.discard(path)


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


@contextmanager
def recording(created: Created) -> Iterator[None]:
    """Let `replacing` record in `created` the files and folders that it makes."""
    token = _recorder.set(created)
    try:
        yield
    finally:
        _recorder.reset(token)


def recorder() -> Created:
    """Return what records now."""
    return _recorder.get() or Created()
