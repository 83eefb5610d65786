"""One key for each person, so that destroying it makes all that was written of them unreadable."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import sqlite3
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from spikeformer.compliance.storage import check_schema, connected, make_schema, private_file
from spikeformer.error_handling import (
    ComplianceError,
    LedgerTamperedError,
    MissingDependencyError,
)
from spikeformer.i18n import t

KEY_VARIABLE = "SPIKEFORMER_PRIVACY_KEY"
"""Environment variable with the master key, 32 bytes in base64."""

KEY_FILE = "master.key"
_BYTES = 32
_PURPOSES = (b"ledger", b"wrapping", b"lookup", b"marks")
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS keys (
    lookup TEXT PRIMARY KEY, pseudonym TEXT UNIQUE NOT NULL, wrapped BLOB NOT NULL
)""",
    """CREATE TABLE IF NOT EXISTS marks (
    name TEXT PRIMARY KEY, number REAL NOT NULL, text TEXT NOT NULL, seal TEXT NOT NULL
)""",
)


class KeyVault:
    """Keys of persons, each encrypted with the master key (AES-256-GCM, NIST SP 800-38D).

    A person is known elsewhere by a random pseudonym. The only link from an identifier to it is a
    keyed hash in this vault, which goes with the key: after `destroy`, neither can be found again,
    and what was encrypted is noise. Identifier, pseudonym and key are bound to each other, so that
    none can be put into another person's place. A copy of the vault's file made before still opens
    it: backups must be short-lived, or the master key kept apart.

    With the keys stands how long the ledger is, how it ends, and the latest time that counted
    (`mark`, `advance`): sealed with the master key, and numbers that only grow.

    Args:
        folder: Where `keys.sqlite` lies, and `master.key` unless the environment variable
            `SPIKEFORMER_PRIVACY_KEY` has the master key. A folder without either is begun.

    Raises:
        ComplianceError: The master key is absent, malformed, or readable by others.
        LedgerTamperedError: The vault was made with another master key, or changed; or it is gone,
            and parts of the records are left, beside which none are begun.
        MissingDependencyError: `cryptography` is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "keys.sqlite"
        found = _leftovers(folder)  # looked for first: whoever begins makes the vault first
        if not self.path.exists():
            self._refuse_beside(found)
        private_file(self.path)
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if not tables:
                self._refuse_beside(_leftovers(folder))
            master = master_key(folder, begin=not tables)
            self.ledger_key, self._wrapping, self._lookup, self._marks = (
                _derive(master, purpose) for purpose in _PURPOSES
            )
            if not tables:
                make_schema(connection, _SCHEMA)
                for name in ("master", "head", "clock"):
                    self._write_mark(connection, name, 0.0, "")
            connection.execute("COMMIT")
            check_schema(connection, self.path, _SCHEMA)
            if not self._is_sealed(_mark_row(connection, "master")):
                raise LedgerTamperedError(
                    t(
                        "compliance.other_master",
                        path=self.path,
                        file=folder / KEY_FILE,
                        variable=KEY_VARIABLE,
                    )
                )

    def _refuse_beside(self, found: list[Path]) -> None:
        if found:
            raise LedgerTamperedError(t("compliance.leftovers", path=self.path, found=found[0]))

    def pseudonym(self, subject_id: str) -> str | None:
        """Return a person's pseudonym, or None if there is no such person."""
        return self.links([subject_id])[subject_id]

    def links(self, subject_ids: Iterable[str]) -> dict[str, str | None]:
        """Return the pseudonyms of several people; None where there is no such person.

        Raises:
            LedgerTamperedError: An identifier leads to the key of somebody else.
        """
        found: dict[str, str | None] = {}
        with self._connection() as connection:
            for subject_id in subject_ids:
                row = connection.execute(
                    "SELECT lookup, pseudonym, wrapped FROM keys WHERE lookup = ?",
                    (self._hash(subject_id),),
                ).fetchone()
                if row is not None:
                    self._unwrap(*row)
                found[subject_id] = None if row is None else row[1]
        return found

    def pseudonyms(self) -> set[str]:
        """Return everyone whose key is there.

        Raises:
            LedgerTamperedError: A key is not the one that was made for its person.
        """
        with self._connection() as connection:
            check_schema(connection, self.path, _SCHEMA)
            rows = connection.execute("SELECT lookup, pseudonym, wrapped FROM keys").fetchall()
        for row in rows:
            self._unwrap(*row)
        return {pseudonym for _, pseudonym, _ in rows}

    def create(self, subject_id: str) -> str:
        """Make a key for a person, unless there is one; return the pseudonym."""
        pseudonym, lookup = secrets.token_hex(16), self._hash(subject_id)
        wrapped = _seal(self._wrapping, secrets.token_bytes(_BYTES), f"{pseudonym}:{lookup}")
        with self._connection() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO keys VALUES (?, ?, ?)", (lookup, pseudonym, wrapped)
            )
        found = self.pseudonym(subject_id)
        if found is None:
            raise LedgerTamperedError(t("compliance.sealed"))
        return found

    def encrypt(self, pseudonym: str, value: Any) -> str:
        """Return a value that JSON holds, encrypted with a person's key, as base64."""
        content = json.dumps(value).encode()
        return base64.b64encode(_seal(self._key(pseudonym), content, pseudonym)).decode()

    def decrypt(self, pseudonym: str, text: str) -> Any:
        """Return what `encrypt` was given.

        Raises:
            ComplianceError: The person's key was destroyed.
            LedgerTamperedError: The text is not what was written.
        """
        key = self._key(pseudonym)
        try:
            sealed = base64.b64decode(text)
        except (ValueError, TypeError):
            raise LedgerTamperedError(t("compliance.sealed")) from None
        return json.loads(_open(key, sealed, pseudonym))

    def destroy(self, pseudonym: str) -> bool:
        """Destroy a person's key; tell whether there was one."""
        with self._connection() as connection:
            check_schema(connection, self.path, _SCHEMA)  # no trigger keeps a copy
            done = connection.execute("DELETE FROM keys WHERE pseudonym = ?", (pseudonym,))
            return done.rowcount > 0

    def mark(self, name: str) -> tuple[float, str]:
        """Return a sealed number, with the text that belongs to it.

        Raises:
            LedgerTamperedError: It is absent, or not what was sealed.
        """
        with self._connection() as connection:
            return self._read_mark(connection, name)

    def advance(self, name: str, number: float, text: str = "") -> None:
        """Seal a larger number; a smaller one changes nothing.

        Raises:
            LedgerTamperedError: What stands there is not what was sealed.
        """
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            if number > self._read_mark(connection, name)[0]:
                self._write_mark(connection, name, number, text)
            connection.execute("COMMIT")

    def _read_mark(self, connection: sqlite3.Connection, name: str) -> tuple[float, str]:
        row = _mark_row(connection, name)
        if not self._is_sealed(row):
            raise LedgerTamperedError(t("compliance.changed_mark", path=self.path, name=name))
        return float(row[1]), str(row[2])

    def _write_mark(
        self, connection: sqlite3.Connection, name: str, number: float, text: str
    ) -> None:
        row = (name, float(number), text)
        values = (*row, self._mark_seal(*row))
        connection.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?)", values)

    def _is_sealed(self, row: tuple[Any, ...]) -> bool:
        *content, seal = row or ("", "", "", "")
        return same(self._mark_seal(*content), seal)

    def _mark_seal(self, name: Any, number: Any, text: Any) -> str:
        message = repr((name, number, text)).encode(errors="replace")
        return hmac.new(self._marks, message, hashlib.sha256).hexdigest()

    def _hash(self, subject_id: str) -> str:
        message = subject_id.encode(errors="surrogatepass")
        return hmac.new(self._lookup, message, hashlib.sha256).hexdigest()

    def _key(self, pseudonym: str) -> bytes:
        with self._connection() as connection:
            row = connection.execute(
                "SELECT lookup, pseudonym, wrapped FROM keys WHERE pseudonym = ?", (pseudonym,)
            ).fetchone()
        if row is None:
            raise ComplianceError(t("compliance.person_erased"))
        return self._unwrap(*row)

    def _unwrap(self, lookup: Any, pseudonym: Any, wrapped: Any) -> bytes:
        return _open(self._wrapping, wrapped, f"{pseudonym}:{lookup}")

    def _connection(self) -> AbstractContextManager[sqlite3.Connection]:
        """Open the file; deleted rows are overwritten, and no journal with them stays."""
        return connected(self.path, "journal_mode=DELETE", "secure_delete=ON")


def _mark_row(connection: sqlite3.Connection, name: str) -> tuple[Any, ...]:
    statement = "SELECT name, number, text, seal FROM marks WHERE name = ?"
    return connection.execute(statement, (name,)).fetchone() or ()


def _leftovers(folder: Path) -> list[Path]:
    """Return parts of records that there cannot be before their vault."""
    return [path for name in (KEY_FILE, "ledger.sqlite") if (path := folder / name).exists()]


def same(first: str, second: Any) -> bool:
    """Compare two hashes in constant time."""
    return isinstance(second, str) and hmac.compare_digest(
        first.encode(errors="replace"), second.encode(errors="replace")
    )


def master_key(folder: Path, *, begin: bool = False) -> bytes:
    """Return the master key: from the environment, else from a file that only its owner reads.

    Args:
        folder: Where the file lies.
        begin: Make the file.

    Raises:
        ComplianceError: The key is absent or malformed, or others can read its file.
    """
    text = os.environ.get(KEY_VARIABLE)
    if text is not None:
        return _decode(text, KEY_VARIABLE)
    path = folder / KEY_FILE
    if begin:
        _write_new(path)
    if not path.exists():
        raise ComplianceError(t("compliance.no_master", path=path, variable=KEY_VARIABLE))
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise ComplianceError(t("compliance.open_to_others", path=path))
    try:
        return _decode(path.read_text(encoding="ascii"), str(path))
    except UnicodeDecodeError:
        return _decode("", str(path))


def _write_new(path: Path) -> None:
    """Write a key that appears whole."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(base64.b64encode(secrets.token_bytes(_BYTES)).decode() + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.link(temporary, path)  # never over another one
    finally:
        temporary.unlink()


def _decode(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != _BYTES:
        raise ComplianceError(t("compliance.not_a_key", where=where))
    return key


def _derive(master: bytes, purpose: bytes) -> bytes:
    """Return a key for one purpose (HKDF-SHA256, RFC 5869)."""
    hashes, kdf = _library("hashes"), _library("kdf.hkdf")
    info = b"spikeformer.compliance." + purpose
    derived: bytes = kdf.HKDF(hashes.SHA256(), _BYTES, salt=None, info=info).derive(master)
    return derived


def _seal(key: bytes, content: bytes, bound_to: str) -> bytes:
    nonce = secrets.token_bytes(12)
    cipher = _library("ciphers.aead").AESGCM(key)
    return nonce + bytes(cipher.encrypt(nonce, content, bound_to.encode()))


def _open(key: bytes, sealed: Any, bound_to: str) -> bytes:
    from cryptography.exceptions import InvalidTag

    cipher = _library("ciphers.aead").AESGCM(key)
    try:
        return bytes(cipher.decrypt(sealed[:12], sealed[12:], bound_to.encode(errors="replace")))
    except (InvalidTag, TypeError, ValueError):
        raise LedgerTamperedError(t("compliance.sealed")) from None


def _library(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(f"cryptography.hazmat.primitives.{name}")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(t("compliance.needs_cryptography")) from error
