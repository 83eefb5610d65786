"""One key for each person, so that destroying it makes all that was written of them unreadable."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from spikeformer.error_handling import ComplianceError, MissingDependencyError
from spikeformer.i18n import t

KEY_VARIABLE = "SPIKEFORMER_PRIVACY_KEY"
"""Environment variable with the master key, 32 bytes in base64."""

KEY_FILE = "master.key"
_BYTES = 32
_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    lookup TEXT PRIMARY KEY, pseudonym TEXT UNIQUE NOT NULL, wrapped BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS checks (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class KeyVault:
    """Keys of persons, each encrypted with the master key (AES-256-GCM, NIST SP 800-38D).

    A person is known elsewhere by a random pseudonym. The only link from an identifier to it is a
    keyed hash in this vault, which goes with the key: after `destroy`, neither can be found again,
    and what was encrypted is noise. A copy of the vault's file made before still opens it: backups
    must be short-lived, or the master key kept apart.

    Args:
        folder: Where `keys.sqlite` lies, and `master.key` unless the environment variable
            `SPIKEFORMER_PRIVACY_KEY` has the master key.

    Raises:
        ComplianceError: The master key is malformed, readable by others, or not the one that
            the vault was made with.
        MissingDependencyError: `cryptography` is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "keys.sqlite"
        master = master_key(folder)
        self.ledger_key, self._wrapping, self._lookup = (
            _derive(master, purpose) for purpose in (b"ledger", b"wrapping", b"lookup")
        )
        with self._connection() as connection:
            connection.executescript(_SCHEMA)
            check = hmac.new(self._lookup, b"check", hashlib.sha256).hexdigest()
            connection.execute("INSERT OR IGNORE INTO checks VALUES ('master', ?)", (check,))
            (found,) = connection.execute("SELECT value FROM checks").fetchone()
        if not hmac.compare_digest(found, check):
            raise ComplianceError(
                t(
                    "compliance.other_master",
                    path=self.path,
                    file=folder / KEY_FILE,
                    variable=KEY_VARIABLE,
                )
            )

    def pseudonym(self, subject_id: str) -> str | None:
        """Return a person's pseudonym, or None if there is no such person."""
        with self._connection() as connection:
            row = connection.execute(
                "SELECT pseudonym FROM keys WHERE lookup = ?", (self._hash(subject_id),)
            ).fetchone()
        return row and str(row[0])

    def pseudonyms(self) -> set[str]:
        """Return everyone whose key is there."""
        with self._connection() as connection:
            return {name for (name,) in connection.execute("SELECT pseudonym FROM keys")}

    def create(self, subject_id: str) -> str:
        """Make a key for a person, unless there is one; return the pseudonym."""
        pseudonym = secrets.token_hex(16)
        wrapped = _seal(self._wrapping, secrets.token_bytes(_BYTES), pseudonym)
        with self._connection() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO keys VALUES (?, ?, ?)",
                (self._hash(subject_id), pseudonym, wrapped),
            )
        found = self.pseudonym(subject_id)
        assert found is not None
        return found

    def encrypt(self, pseudonym: str, value: Any) -> str:
        """Return a value that JSON holds, encrypted with a person's key, as base64."""
        content = json.dumps(value, ensure_ascii=False).encode()
        return base64.b64encode(_seal(self._key(pseudonym), content, pseudonym)).decode()

    def decrypt(self, pseudonym: str, text: str) -> Any:
        """Return what `encrypt` was given.

        Raises:
            ComplianceError: The person's key was destroyed, or the text is not what was written.
        """
        key = self._key(pseudonym)
        return json.loads(_open(key, base64.b64decode(text), pseudonym))

    def destroy(self, pseudonym: str) -> bool:
        """Destroy a person's key; tell whether there was one."""
        with self._connection() as connection:
            done = connection.execute("DELETE FROM keys WHERE pseudonym = ?", (pseudonym,))
            return done.rowcount > 0

    def _hash(self, subject_id: str) -> str:
        return hmac.new(self._lookup, subject_id.encode(), hashlib.sha256).hexdigest()

    def _key(self, pseudonym: str) -> bytes:
        with self._connection() as connection:
            row = connection.execute(
                "SELECT wrapped FROM keys WHERE pseudonym = ?", (pseudonym,)
            ).fetchone()
        if row is None:
            raise ComplianceError(t("compliance.person_erased"))
        return _open(self._wrapping, row[0], pseudonym)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Open the file; deleted rows are overwritten, and no journal with them stays."""
        with closing(sqlite3.connect(self.path, timeout=60, isolation_level=None)) as connection:
            connection.execute("PRAGMA secure_delete=ON")
            connection.execute("PRAGMA synchronous=FULL")
            yield connection


def master_key(folder: Path) -> bytes:
    """Return the master key: from the environment, else from a file that only its owner reads.

    A new folder gets a new file.

    Raises:
        ComplianceError: The key is malformed, or others can read its file.
    """
    text = os.environ.get(KEY_VARIABLE)
    if text is not None:
        return _decode(text, KEY_VARIABLE)
    path = folder / KEY_FILE
    if not path.exists() and not (folder / "keys.sqlite").exists():
        _write_new(path)
    if not path.exists():
        raise ComplianceError(t("compliance.no_master", path=path, variable=KEY_VARIABLE))
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise ComplianceError(t("compliance.open_to_others", path=path))
    return _decode(path.read_text(encoding="ascii"), str(path))


def _write_new(path: Path) -> None:
    """Write a key that appears whole, once, even if two processes begin together."""
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(base64.b64encode(secrets.token_bytes(_BYTES)).decode() + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass  # the other process was first
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


def _open(key: bytes, sealed: bytes, bound_to: str) -> bytes:
    from cryptography.exceptions import InvalidTag

    cipher = _library("ciphers.aead").AESGCM(key)
    try:
        return bytes(cipher.decrypt(sealed[:12], sealed[12:], bound_to.encode()))
    except InvalidTag:
        raise ComplianceError(t("compliance.sealed")) from None


def _library(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(f"cryptography.hazmat.primitives.{name}")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(t("compliance.needs_cryptography")) from error
