"""Writing and hashing files so that a killed run leaves no half of one."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from spikeformer.error_handling import StorageError
from spikeformer.files.created import recorder
from spikeformer.i18n import t

_PREFIX = ".spikeformer-"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it takes the place of `path`.

    Raises:
        StorageError: The disk is full or the folder cannot be written; `path` is as it was.
        OSError: Something else went wrong; `path` is as it was.
    """
    created = recorder()
    temporary = path.with_name(f"{_PREFIX}{os.getpid()}-{secrets.token_hex(6)}.{path.name}")
    try:
        created.note_folder(path.parent)
        created.note_absent(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
        created.note_made(path)
    except OSError as error:
        if error.errno not in _REMEDIES:
            raise
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote into a folder.

    Only regular files with a name that `replacing` gives; links are neither followed nor removed.
    Call it where nobody else writes there.
    """
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names if is_temporary(name)):
            with suppress(OSError):
                if stat.S_ISREG(path.lstat().st_mode):
                    path.unlink()


def is_temporary(name: str) -> bool:
    """Tell whether `replacing` gives such names to what it has not finished."""
    return re.fullmatch(re.escape(_PREFIX) + r"\d+-[0-9a-f]{12}\..+", name) is not None


def set_aside(path: Path) -> Path:
    """Give a file or folder another name beside its own, `NAME.old-1`, and return that."""
    for number in itertools.count(1):
        target = path.with_name(f"{path.name}.old-{number}")
        if not os.path.lexists(target):
            break
    return path.rename(target)


_REMEDIES = {
    errno.ENOSPC: "files.free_space",
    errno.EDQUOT: "files.free_quota",
    errno.EROFS: "files.other_folder",
    errno.EACCES: "files.other_folder",
    errno.EPERM: "files.other_folder",
    errno.ENOTDIR: "files.other_folder",
}
"""What to do about what a disk refuses, by the number of the error."""

_ONLY_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors that reading does not meet."""


def unwritable(path: Path | str, error: OSError) -> StorageError:
    """Return the error that says what could not be written or made, why, and what to do."""
    remedy = t(_REMEDIES.get(error.errno or 0, "files.other_folder"))
    text = t("files.not_written", path=path, reason=error.strerror or error)
    return StorageError(f"{text} {remedy}")


def explained(error: OSError) -> OSError:
    """Return a `StorageError` for what surely is a disk's refusal to write, else the error."""
    if isinstance(error, StorageError) or error.errno not in _ONLY_WRITING:
        return error
    return unwritable(error.filename or t("files.some_file"), error)


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file in one step."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def value_hash(value: Any) -> str:
    """Return the SHA-256 of a value made of dicts, lists, strings, numbers and None."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
