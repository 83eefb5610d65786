"""Private files, and the SQLite databases in them."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from spikeformer.error_handling import ComplianceError, LedgerTamperedError, StorageError
from spikeformer.files import unwritable
from spikeformer.i18n import t

_WAIT_SECONDS = 60.0
_PRIMARY_CODE = 0xFF
_MACHINE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_INTERRUPT,
}
"""What SQLite reports of the machine. Everything else is about the file's content."""

_RECORDS = {"keys", "ledger", "master"}
"""What the files in a folder of records are called, without their suffixes."""


def private_folder(folder: Path) -> Path:
    """Return a folder that only its owner can enter; make it if there is none.

    A folder that holds something else than records is left as it is.

    Raises:
        ComplianceError: Others can enter the folder, and it is not for records alone.
        StorageError: It cannot be made.
    """
    try:
        if not folder.exists():
            folder.mkdir(parents=True, mode=0o700, exist_ok=True)
            folder.chmod(0o700)  # whatever the umask took away
        if not folder.is_dir():
            raise NotADirectoryError(20, os.strerror(20), str(folder))
        if os.name == "posix" and folder.stat().st_mode & 0o077:
            if {file.name.partition(".")[0] for file in folder.iterdir()} - _RECORDS:
                raise ComplianceError(t("compliance.open_folder", folder=folder))
            folder.chmod(0o700)
    except OSError as error:
        raise unwritable(folder, error) from error
    return folder


def private_file(path: Path) -> Path:
    """Return a file that only its owner can read; make an empty one if there is none.

    Raises:
        ComplianceError: It is a link, or no file.
        StorageError: It cannot be made, or belongs to somebody else.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise ComplianceError(t("compliance.no_own_file", path=path))
    try:
        descriptor = os.open(path, flags, 0o600)
        try:
            if os.name == "posix" and stat.S_IMODE(os.fstat(descriptor).st_mode) != 0o600:
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unwritable(path, error) from error
    return path


@contextmanager
def connected(path: Path, *pragmas: str) -> Iterator[sqlite3.Connection]:
    """Open a database that is there; what SQLite cannot read in it was tampered with.

    Raises:
        StorageError: The machine cannot read or write the file now.
        LedgerTamperedError: The file is not what was written.
    """
    name = f"{path.absolute().as_uri()}?mode=rw"
    try:
        with closing(
            sqlite3.connect(name, uri=True, timeout=_WAIT_SECONDS, isolation_level=None)
        ) as connection:
            for pragma in ("trusted_schema=OFF", "synchronous=FULL", *pragmas):
                connection.execute(f"PRAGMA {pragma}")
            yield connection
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & _PRIMARY_CODE in _MACHINE:
            raise StorageError(t("compliance.not_reached", path=path, reason=error)) from error
        message = t("compliance.unreadable", path=path, reason=error)
        raise LedgerTamperedError(message) from error


def make_schema(connection: sqlite3.Connection, statements: tuple[str, ...]) -> None:
    """Make tables and triggers that are not there."""
    for statement in statements:
        connection.execute(statement)


def check_schema(connection: sqlite3.Connection, path: Path, statements: tuple[str, ...]) -> None:
    """Make sure that a database holds no table, view or trigger but ours.

    Raises:
        LedgerTamperedError: It holds others, which could act on what is written.
    """
    with closing(sqlite3.connect(":memory:")) as model:
        make_schema(model, statements)
        ours = set(model.execute("SELECT type, name, sql FROM sqlite_master"))
    found = set(connection.execute("SELECT type, name, sql FROM sqlite_master"))
    if found - ours:
        name = sorted(str(each[1]) for each in found - ours)[0]
        raise LedgerTamperedError(t("compliance.foreign_table", path=path, name=name))
