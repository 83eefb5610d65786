"""Writing and hashing files so that a killed run leaves no half of one."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from spikeformer.error_handling import StorageError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it takes the place of `path`.

    Raises:
        StorageError: The disk is full or the folder cannot be written; `path` is as it was.
    """
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise _explained(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote into a folder.

    Call it where nobody else writes there.
    """
    for path in folder.rglob(".*"):
        if re.match(r"\.\d+\..", path.name) and path.is_file():
            path.unlink(missing_ok=True)


def _explained(path: Path, error: OSError) -> OSError:
    remedies = {
        errno.ENOSPC: "Free some space",
        errno.EDQUOT: "Free some of your quota",
        errno.EROFS: "Choose another folder with paths.output_dir=FOLDER",
        errno.EACCES: "Choose a folder that you may write with paths.output_dir=FOLDER",
        errno.EPERM: "Choose a folder that you may write with paths.output_dir=FOLDER",
    }
    remedy = remedies.get(error.errno or 0)
    if remedy is None:
        return error
    return StorageError(
        f"{path} could not be written: {error.strerror}. What was there before is intact. {remedy}."
    )


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
