"""An append-only ledger in SQLite whose entries are chained by keyed hashes."""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from spikeformer.compliance.storage import check_schema, connected, make_schema, private_file
from spikeformer.compliance.vault import KeyVault, same
from spikeformer.error_handling import LedgerTamperedError
from spikeformer.i18n import t

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS entries (
    seq INTEGER PRIMARY KEY, time TEXT NOT NULL, kind TEXT NOT NULL,
    subject TEXT NOT NULL, payload TEXT NOT NULL, mac TEXT NOT NULL
)""",
    """CREATE TRIGGER IF NOT EXISTS no_update BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    """CREATE TRIGGER IF NOT EXISTS no_delete BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
)

_COLUMNS = "seq, time, kind, subject, payload, mac"
_BEFORE_ALL = -(2**63)


@dataclass(frozen=True)
class Entry:
    """One line of the ledger.

    Attributes:
        seq: Its number, from 1 without gaps.
        time: When it was written, in UTC; never before the entry before.
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
    change or remove one inside the chain, unnoticed. How long the chain is and how it ends stands
    with the keys, sealed with the same master key, so that entries missing at its end show too.
    Nothing is read from a chain that does not verify, and nothing is added to it. Whoever puts back
    an older copy of ledger and keys can be found out by a head kept elsewhere: run folders keep
    one, and `spikeformer privacy verify` prints it.

    Every change is one transaction in WAL mode, written through to the disk: a killed process
    leaves the entry or nothing. Processes and threads take turns.

    Args:
        path: The SQLite file; it is made for a new vault.
        vault: Has the key of the hashes, and the sealed end.
        clock: Returns the time; for tests.

    Raises:
        LedgerTamperedError: The file is gone, or it is not what was written.
    """

    def __init__(
        self, path: Path, vault: KeyVault, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self.path, self.clock, self._vault = path, clock, vault
        self._lock = threading.Lock()
        self._known: list[Entry] = []
        self._signature: object = None
        sealed = int(vault.mark("head")[0])
        if sealed and not path.exists():
            raise LedgerTamperedError(t("compliance.end_is_gone", path=path, last=0, lost=sealed))
        private_file(path)
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            make_schema(connection, _SCHEMA)
            connection.execute("COMMIT")
            check_schema(connection, path, _SCHEMA)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """Lock the ledger for one transaction: what is read inside holds when it is written.

        Raises:
            LedgerTamperedError: It is not what was written.
        """
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                writer = Writer(self, connection, self._follow(connection))
                yield writer
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        if writer.all:
            # Also where nothing was added: a process may have been killed before it could.
            self._vault.advance("head", len(writer.all), writer.all[-1].mac)
        with self._lock:
            self._known, self._signature = writer.all, self._stamp()

    def entries(self, subject: str | None = None, kind: str | None = None) -> list[Entry]:
        """Return entries in order, of one subject or one kind if asked.

        Raises:
            LedgerTamperedError: They are not what was written.
        """
        with self._connection() as connection:
            return _select(self._follow(connection), subject, kind)

    @property
    def head(self) -> tuple[int, str]:
        """Number and hash of the last entry; keep them elsewhere to notice an older copy."""
        entries = self.entries()
        return (entries[-1].seq, entries[-1].mac) if entries else (0, "")

    def verify(self, known_heads: Mapping[int, str] | None = None) -> int:
        """Recompute the whole chain.

        Args:
            known_heads: Hashes by entry number, as kept elsewhere.

        Returns:
            The number of entries.

        Raises:
            LedgerTamperedError: An entry was changed, removed or forged; the message names it.
        """
        with self._connection() as connection:
            entries = self._follow(connection, anew=True)
            check_schema(connection, self.path, _SCHEMA)
        for number, mac in sorted((known_heads or {}).items()):
            self._check_head(entries, number, mac)
        return len(entries)

    def mac(self, before: str, *content: Any) -> str:
        """Return the hash of an entry that comes after one with the hash `before`."""
        message = json.dumps([before, *content]).encode()
        return hmac.new(self._vault.ledger_key, message, hashlib.sha256).hexdigest()

    def _follow(self, connection: sqlite3.Connection, *, anew: bool = False) -> list[Entry]:
        """Return all entries, having verified them since the file last changed."""
        number, mac = self._vault.mark("head")  # before the entries, which only grow
        with self._lock:
            stamp = self._stamp()
            known = [] if anew or stamp != self._signature else list(self._known)
            start = len(known) if known else _BEFORE_ALL
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM entries WHERE seq > ? ORDER BY seq", (start,)
            )
            for row in rows:
                known.append(self._verified(row, len(known) + 1, known[-1].mac if known else ""))
            self._check_head(known, int(number), mac)
            self._known, self._signature = known, stamp
        return known

    def _verified(self, row: tuple[Any, ...], number: int, before: str) -> Entry:
        """Return the entry in a row that is right."""
        seq, *content, mac = row
        plain = all(isinstance(value, str) for value in content)
        if seq != number or not plain or not same(self.mac(before, seq, *content), mac):
            raise LedgerTamperedError(t("compliance.changed_entry", path=self.path, number=number))
        time, kind, subject, payload = content
        return Entry(seq, datetime.fromisoformat(time), kind, subject, json.loads(payload), mac)

    def _check_head(self, entries: list[Entry], number: int, mac: str) -> None:
        """Make sure that an entry of this number and hash is there."""
        if number > len(entries):
            raise LedgerTamperedError(
                t("compliance.end_is_gone", path=self.path, last=len(entries), lost=number)
            )
        if number > 0 and not same(entries[number - 1].mac, mac):
            raise LedgerTamperedError(t("compliance.replaced", path=self.path, number=number))

    def _stamp(self) -> object:
        """Return what shows that somebody wrote into the files since."""
        found = []
        for file in (self.path, self.path.with_name(f"{self.path.name}-wal")):
            with suppress(FileNotFoundError):
                state = file.stat()
                if state.st_size:
                    found.append(
                        (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
                    )
        return found

    def _connection(self) -> AbstractContextManager[sqlite3.Connection]:
        return connected(self.path, "journal_mode=WAL")


class Writer:
    """The ledger inside a transaction."""

    def __init__(
        self, ledger: Ledger, connection: sqlite3.Connection, entries: list[Entry]
    ) -> None:
        self._ledger, self._connection = ledger, connection
        self.all = list(entries)

    def entries(self, subject: str | None = None, kind: str | None = None) -> list[Entry]:
        """Return entries in order, of one subject or one kind if asked."""
        return _select(self.all, subject, kind)

    @property
    def now(self) -> datetime:
        """The time, which does not go back behind the last entry."""
        now = self._ledger.clock()
        return max(now, self.all[-1].time) if self.all else now

    def append(self, kind: str, payload: dict[str, Any], subject: str = "") -> Entry:
        """Add an entry."""
        count, now = len(self.all) + 1, self.now
        text = json.dumps(payload, sort_keys=True)
        content = (count, now.isoformat(), kind, subject, text)
        mac = self._ledger.mac(self.all[-1].mac if self.all else "", *content)
        self._connection.execute(
            f"INSERT INTO entries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", (*content, mac)
        )
        entry = Entry(count, now, kind, subject, json.loads(text), mac)
        self.all.append(entry)
        return entry


def _select(entries: list[Entry], subject: str | None, kind: str | None) -> list[Entry]:
    return [
        entry
        for entry in entries
        if subject in (None, entry.subject) and kind in (None, entry.kind)
    ]
