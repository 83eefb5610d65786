"""An append-only ledger in SQLite whose entries are chained by keyed hashes."""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from spikeformer.error_handling import LedgerTamperedError
from spikeformer.files import write_json
from spikeformer.i18n import t

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    seq INTEGER PRIMARY KEY, time TEXT NOT NULL, kind TEXT NOT NULL,
    subject TEXT NOT NULL, payload TEXT NOT NULL, mac TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_subject ON entries (subject);
CREATE TRIGGER IF NOT EXISTS no_update BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS no_delete BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""

_COLUMNS = "seq, time, kind, subject, payload, mac"
_WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Entry:
    """One line of the ledger.

    Attributes:
        seq: Its number, from 1 without gaps.
        time: When it was written, in UTC.
        kind: What it records.
        subject: Pseudonym of whom it is about; empty for entries about no single person.
        payload: Plain data; what is personal in it is encrypted.
        mac: HMAC-SHA256 over all of this and the entry before.
    """

    seq: int
    time: datetime
    kind: str
    subject: str
    payload: dict[str, Any]
    mac: str


def utc_now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


class Ledger:
    """Appends entries, and tells whether any of them was changed, removed or forged.

    mac_n = HMAC-SHA256(key, mac_{n-1} || entry_n). Without the key nobody can make an entry, or
    change or remove one inside the chain, unnoticed. How long the chain is and how it ends stands,
    sealed with the same key, in `<name>.head.json`, so that entries missing at its end show too.
    Whoever puts back an older copy of both files can be found out by a head kept elsewhere: run
    folders keep one, and `spikeformer privacy verify` prints it.

    Every change is one transaction in WAL mode, written through to the disk: a killed process
    leaves the entry or nothing. Processes take turns.

    Args:
        path: The SQLite file; it is made if there is none.
        key: Key of the hashes, 32 bytes.
        clock: Returns the time; for tests.
    """

    def __init__(self, path: Path, key: bytes, clock: Callable[[], datetime] = utc_now) -> None:
        self.path, self.clock, self._key = path, clock, key
        self._head_file = path.with_suffix(".head.json")
        with self._connection() as connection:
            connection.executescript(_SCHEMA)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """Lock the ledger for one transaction: what is read inside holds when it is written.

        Raises:
            LedgerTamperedError: Its end is not what was written there.
        """
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                writer = Writer(self, connection)
                # Brings the seal up to date if a process was killed before it could.
                self._seal(*self._checked_head(connection))
                yield writer
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
        if writer.appended:
            self._seal(*writer.appended)

    def entries(self, subject: str | None = None, kind: str | None = None) -> list[Entry]:
        """Return entries in order, of one subject or one kind if asked."""
        with self._connection() as connection:
            return _select(connection, subject, kind)

    @property
    def head(self) -> tuple[int, str]:
        """Number and hash of the last entry; keep them elsewhere to notice an older copy."""
        with self._connection() as connection:
            return _head(connection)

    def verify(self, known_heads: dict[int, str] | None = None) -> int:
        """Recompute the whole chain.

        Args:
            known_heads: Hashes by entry number, as kept elsewhere.

        Returns:
            The number of entries.

        Raises:
            LedgerTamperedError: An entry was changed, removed or forged; the message names it.
        """
        before, count = "", 0
        with self._connection() as connection:
            connection.execute("BEGIN")
            sealed_count, sealed_mac = self._sealed()
            expected = {**(known_heads or {}), sealed_count: sealed_mac}
            rows = connection.execute(f"SELECT {_COLUMNS} FROM entries ORDER BY seq")
            for count, row in enumerate(rows, start=1):
                before = self._verify_row(row, count, before, expected)
        lost = max((n for n in expected if n > count), default=None)
        if lost is not None:
            raise LedgerTamperedError(
                t("compliance.end_is_gone", path=self.path, last=count, lost=lost)
            )
        if count > 1 and not sealed_count:
            raise LedgerTamperedError(
                t("compliance.no_head", head=self._head_file, path=self.path, entries=count)
            )
        return count

    def _verify_row(
        self, row: tuple[Any, ...], number: int, before: str, expected: dict[int, str]
    ) -> str:
        """Return the hash of a row that is right."""
        seq, *content, mac = row
        good = self.mac(before, seq, *content)
        if seq != number or not hmac.compare_digest(good, mac):
            raise LedgerTamperedError(t("compliance.changed_entry", path=self.path, number=number))
        if expected.get(seq, mac) != mac:
            raise LedgerTamperedError(t("compliance.replaced", path=self.path, number=number))
        return good

    def mac(self, before: str, *content: Any) -> str:
        """Return the hash of an entry that comes after one with the hash `before`."""
        message = json.dumps([before, *content], ensure_ascii=False).encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()

    def _checked_head(self, connection: sqlite3.Connection) -> tuple[int, str]:
        count, mac = _head(connection)
        sealed_count, sealed_mac = self._sealed()
        row = connection.execute("SELECT mac FROM entries WHERE seq = ?", (sealed_count,))
        found = row.fetchone()
        if sealed_count and (found is None or found[0] != sealed_mac):
            raise LedgerTamperedError(t("compliance.not_held", path=self.path, number=sealed_count))
        return count, mac

    def _seal(self, count: int, mac: str) -> None:
        if count and count > self._sealed()[0]:
            seal = self.mac("head", count, mac)
            write_json(self._head_file, {"entries": count, "mac": mac, "seal": seal})

    def _sealed(self) -> tuple[int, str]:
        """Return the number and hash of the last entry, as they were sealed."""
        try:
            content = json.loads(self._head_file.read_text(encoding="utf-8"))
            count, mac, seal = content["entries"], content["mac"], content["seal"]
        except FileNotFoundError:
            return 0, ""
        except (ValueError, KeyError, TypeError, OSError) as error:
            message = t("compliance.unreadable", path=self._head_file, reason=repr(error))
            raise LedgerTamperedError(message) from error
        if not hmac.compare_digest(self.mac("head", count, mac), str(seal)):
            raise LedgerTamperedError(t("compliance.changed_head", head=self._head_file))
        return count, mac

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(
                sqlite3.connect(self.path, timeout=_WAIT_SECONDS, isolation_level=None)
            ) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                yield connection
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError | sqlite3.IntegrityError):
                raise
            message = t("compliance.unreadable", path=self.path, reason=error)
            raise LedgerTamperedError(message) from error


class Writer:
    """The ledger inside a transaction."""

    def __init__(self, ledger: Ledger, connection: sqlite3.Connection) -> None:
        self._ledger, self._connection = ledger, connection
        self.appended: tuple[int, str] | None = None

    def entries(self, subject: str | None = None, kind: str | None = None) -> list[Entry]:
        """Return entries in order, of one subject or one kind if asked."""
        return _select(self._connection, subject, kind)

    def append(self, kind: str, payload: dict[str, Any], subject: str = "") -> Entry:
        """Add an entry."""
        count, before = _head(self._connection)
        now = self._ledger.clock()
        content = (count + 1, now.isoformat(), kind, subject, _text(payload))
        mac = self._ledger.mac(before, *content)
        self._connection.execute(
            f"INSERT INTO entries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", (*content, mac)
        )
        self.appended = count + 1, mac
        return Entry(count + 1, now, kind, subject, payload, mac)


def _text(payload: dict[str, Any]) -> str:
    return json.dumps(payload, sort_keys=True, ensure_ascii=False)


def _head(connection: sqlite3.Connection) -> tuple[int, str]:
    row = connection.execute("SELECT seq, mac FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
    return row or (0, "")


def _select(connection: sqlite3.Connection, subject: str | None, kind: str | None) -> list[Entry]:
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM entries WHERE (:subject IS NULL OR subject = :subject) "
        "AND (:kind IS NULL OR kind = :kind) ORDER BY seq",
        {"subject": subject, "kind": kind},
    )
    return [
        Entry(seq, datetime.fromisoformat(time), what, whom, json.loads(payload), mac)
        for seq, time, what, whom, payload, mac in rows
    ]
