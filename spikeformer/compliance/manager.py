"""Consents, requests and uses of personal data, on record."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from spikeformer.compliance.law import ProcessingPurpose
from spikeformer.compliance.ledger import Entry, Ledger, Writer, utc_now
from spikeformer.compliance.requests import RequestDesk
from spikeformer.compliance.runs import RunUse, affected_by, read_runs
from spikeformer.compliance.storage import private_folder
from spikeformer.compliance.subject import DataSubject, SubjectState, states
from spikeformer.compliance.vault import KeyVault
from spikeformer.error_handling import (
    ArgumentError,
    ComplianceError,
    LedgerTamperedError,
    check_positive_int,
)
from spikeformer.i18n import t


class PrivacyManager:
    """Keeps who agreed to what, answers requests, and knows which runs used whose data.

    Everything stands in a hash-chained, append-only `Ledger`; what is personal in it is encrypted
    with a key of the person's own (`KeyVault`), so that erasure destroys the key and leaves the
    chain whole. A tool, not legal advice.

    Args:
        organization_name: The controller (GDPR Art. 4(7)).
        dpo_contact: Where people reach the data protection officer.
        folder: Where ledger and keys lie; None is `default_folder()`. Its rights are its owner's.
        clock: Returns the time in UTC; for tests.

    Raises:
        ArgumentError: A name is empty.
        ComplianceError: The master key is absent, malformed, readable by others or another one.
        LedgerTamperedError: The ledger is not what was written into it.

    Example:
        >>> import tempfile
        >>> manager = PrivacyManager("Example Lab", "dpo@example.org", folder=tempfile.mkdtemp())
        >>> manager.register_data_subject(DataSubject("speaker-1"))
        True
        >>> manager.record_consent("speaker-1", [ProcessingPurpose.MODEL_TRAINING])
        True
        >>> manager.refusal("speaker-1", ProcessingPurpose.MODEL_TRAINING) is None
        True
        >>> manager.handle_data_subject_request("erasure", "speaker-1")["legal_reference"]
        'GDPR Art. 17'
        >>> manager.refusal("speaker-1", ProcessingPurpose.MODEL_TRAINING)
        'unknown'
    """

    def __init__(
        self,
        organization_name: str,
        dpo_contact: str,
        *,
        folder: str | Path | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        for argument, value in (
            ("organization_name", organization_name),
            ("dpo_contact", dpo_contact),
        ):
            if not value or not value.strip():
                raise ArgumentError(argument, value, "text that is not empty")
        self.organization_name, self.dpo_contact = organization_name, dpo_contact
        self.folder = Path(folder).expanduser().absolute() if folder else default_folder()
        private_folder(self.folder)
        self.clock = clock
        self.vault = KeyVault(self.folder)
        self.ledger = Ledger(self.folder / "ledger.sqlite", self.vault, clock)
        self.requests = RequestDesk(self)
        self._finish_erasures()
        controller = {"organization": organization_name, "dpo": dpo_contact}
        if self._policy("controller") != controller:
            with self.ledger.writing() as writer:
                writer.append("controller", controller)

    @classmethod
    def open(
        cls, folder: str | Path | None = None, *, clock: Callable[[], datetime] = utc_now
    ) -> PrivacyManager:
        """Open records that exist, with the names that they were made with.

        Raises:
            ComplianceError: There are none.
        """
        where = Path(folder).expanduser().absolute() if folder else default_folder()
        if not any((where / name).exists() for name in ("ledger.sqlite", "keys.sqlite")):
            raise ComplianceError(t("compliance.no_records", where=where))
        ledger = Ledger(where / "ledger.sqlite", KeyVault(private_folder(where)), clock)
        found = ledger.entries(kind="controller")
        if not found:
            raise ComplianceError(t("compliance.no_controller", where=where))
        names = found[-1].payload
        manager = cls(names["organization"], names["dpo"], folder=where, clock=clock)
        manager.verify()
        return manager

    def verify(self, known_heads: Mapping[int, str] | None = None) -> int:
        """Make sure that ledger and keys are what was written, and belong to each other.

        Args:
            known_heads: Hashes by entry number, as kept elsewhere.

        Returns:
            The number of entries.

        Raises:
            LedgerTamperedError: They are not; the message says where it shows.
        """
        count = self.ledger.verify(known_heads)
        keys, known = self.vault.pseudonyms(), self.states().values()
        lost = [each for each in known if each.erased is None and each.pseudonym not in keys]
        if lost:
            text = t("compliance.keys_gone", path=self.vault.path, count=len(lost))
            raise LedgerTamperedError(text)
        return count

    def now(self) -> datetime:
        """Return the time; it never goes back behind what is on record, whatever the clock says."""
        last = self.ledger.entries()[-1:]
        seen = datetime.fromtimestamp(self.vault.mark("clock")[0], UTC)
        return max(self.clock(), seen, *(entry.time for entry in last))

    def register_data_subject(self, subject: DataSubject) -> bool:
        """Put a person on record; tell whether that is new.

        Registering gives no right to use anything: see `record_consent`.
        """
        pseudonym = self.vault.create(subject.subject_id)
        with self.ledger.writing() as writer:
            if writer.entries(pseudonym, "registered"):
                return False
            self._write_person(writer, "registered", pseudonym, subject)
        return True

    def record_consent(
        self,
        subject_id: str,
        purposes: Iterable[ProcessingPurpose],
        *,
        expires: datetime | None = None,
        evidence: str = "",
    ) -> bool:
        """Put a consent on record (GDPR Art. 6(1)(a), 7).

        Args:
            subject_id: Who gave it.
            purposes: To what.
            expires: Until when, with a time zone; None is until it is withdrawn.
            evidence: What shows that it was given, as the name of a signed form; kept encrypted.

        Returns:
            Whether that is new: False if exactly this stands there already.

        Raises:
            ArgumentError: There is no purpose, or `expires` has no time zone.
            ComplianceError: Nobody of this name is registered.
        """
        wanted = sorted({ProcessingPurpose(purpose).value for purpose in purposes})
        if not wanted:
            raise ArgumentError("purposes", [], "at least one ProcessingPurpose")
        if expires is not None and expires.tzinfo is None:
            raise ArgumentError("expires", expires.isoformat(), "a time with a time zone")
        pseudonym = self._pseudonym(subject_id)
        until = None if expires is None else expires.isoformat()
        with self.ledger.writing() as writer:
            state = states(writer.entries(pseudonym))[pseudonym]
            standing = [state.consents.get(purpose) for purpose in wanted]
            if all(c and c.expires == expires and not evidence for c in standing):
                return False
            shown = self.vault.encrypt(pseudonym, evidence) if evidence else None
            payload = {"purposes": wanted, "expires": until, "evidence": shown}
            writer.append("consent", payload, pseudonym)
        return True

    def withdraw_consent(
        self, subject_id: str, purposes: Iterable[ProcessingPurpose] | None = None
    ) -> bool:
        """Put on record that a consent is withdrawn (GDPR Art. 7(3)).

        Args:
            subject_id: Who withdraws it.
            purposes: To what; None is to everything.

        Returns:
            Whether there was a consent to withdraw.

        Raises:
            ComplianceError: Nobody of this name is registered.
        """
        pseudonym = self._pseudonym(subject_id)
        with self.ledger.writing() as writer:
            given = states(writer.entries(pseudonym))[pseudonym].consents
            wanted = given if purposes is None else {ProcessingPurpose(p).value for p in purposes}
            if not given.keys() & wanted:
                return False
            writer.append("withdrawn", {"purposes": sorted(given.keys() & wanted)}, pseudonym)
        return True

    def lift_restriction(self, subject_id: str) -> bool:
        """Put on record that a restriction ends; tell whether there was one."""
        pseudonym = self._pseudonym(subject_id)
        with self.ledger.writing() as writer:
            if not states(writer.entries(pseudonym))[pseudonym].restricted:
                return False
            writer.append("restriction_lifted", {}, pseudonym)
        return True

    def handle_data_subject_request(
        self, request_type: str, subject_id: str, *, details: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Answer a request, and put request and answer on record.

        Args:
            request_type: "access", "rectification", "erasure", "restriction", "portability" or
                "objection" (GDPR Art. 15 to 18, 20, 21); or in the CCPA's words "know", "correct",
                "delete", "limit" or "opt_out".
            subject_id: Who asks. Make sure of that first (GDPR Art. 12(6)).
            details: What else the request says: the fields to change for a rectification,
                "purposes" for an objection.

        Returns:
            The answer, plain data: the request's id, law and dates, and what was found or done.

        Raises:
            ArgumentError: There is no such request, or the details are not what it needs.
            ComplianceError: Nobody of this name is registered.
        """
        return self.requests.handle(request_type, subject_id, details or {})

    def refusal(self, subject_id: str, purpose: ProcessingPurpose) -> str | None:
        """Return why a person's data may not be used for a purpose now; None if they may."""
        return self.refusals([subject_id], purpose)[subject_id]

    def refusals(
        self, subject_ids: Iterable[str], purpose: ProcessingPurpose
    ) -> dict[str, str | None]:
        """Return the same for many at once: "unknown", "no_consent", "expired", "withdrawn"..."""
        known, now = self.states(), self.now()
        found: dict[str, str | None] = {}
        for subject_id, pseudonym in self.vault.links(subject_ids).items():
            state = known.get(pseudonym or "")
            found[subject_id] = "unknown" if state is None else state.refusal(purpose, now)
        if "expired" in found.values():
            self.vault.advance("clock", now.timestamp())  # from here on it has ended for good
        return found

    def states(self) -> dict[str, SubjectState]:
        """Return what is on record of everyone, by pseudonym."""
        return states(self.ledger.entries())

    def person(self, pseudonym: str) -> DataSubject:
        """Return who stands behind a pseudonym.

        Raises:
            ComplianceError: The person's data were erased.
        """
        entries = self.ledger.entries(pseudonym)
        last = [entry for entry in entries if entry.kind in ("registered", "rectified")][-1]
        return DataSubject(**self.vault.decrypt(pseudonym, last.payload["personal"]))

    def record_run(
        self, folder: Path, purpose: ProcessingPurpose, *, subjects: Mapping[str, int], **used: Any
    ) -> Entry:
        """Put on record that a run uses data, before it does, if it still may.

        Args:
            folder: The run folder.
            purpose: What for.
            subjects: Samples by pseudonym.
            **used: `left_out` (samples by reason), `checkpoint` (hash of the weights that the run
                starts from), `cache` (folder of decoded data).

        Raises:
            ComplianceError: Somebody's data may not be used any more, or never could be.
        """
        where = {"folder": str(folder.absolute()), "purpose": purpose.value}
        with self.ledger.writing() as writer:
            known = states(writer.entries())
            gone = [
                pseudonym
                for pseudonym in subjects
                if pseudonym not in known or known[pseudonym].refusal(purpose, writer.now)
            ]
            if gone:
                raise ComplianceError(t("compliance.changed_since", count=len(gone)))
            return writer.append("run", {**where, "subjects": dict(subjects), **used})

    def record_dropped(self, folder: Path, pseudonyms: Iterable[str]) -> None:
        """Put on record whose data a run stopped using, because they may not be used any more."""
        with self.ledger.writing() as writer:
            payload = {"folder": str(folder.absolute()), "subjects": sorted(pseudonyms)}
            writer.append("dropped", payload)

    def record_outputs(self, folder: Path, files: Mapping[str, str]) -> None:
        """Put on record what a run wrote: SHA-256 by path in the run folder."""
        with self.ledger.writing() as writer:
            writer.append("outputs", {"folder": str(folder.absolute()), "files": dict(files)})

    def runs(self, subject_id: str | None = None) -> list[RunUse]:
        """Return the runs on record; those that a person's data went into, if asked."""
        runs = read_runs(self.ledger.entries())
        return runs if subject_id is None else affected_by(self._pseudonym(subject_id), runs)

    def set_retention(self, days: int) -> None:
        """Say for how many days data are kept after the last consent ended (GDPR Art. 5(1)(e))."""
        check_positive_int("days", days)
        if self.retention_days != days:
            with self.ledger.writing() as writer:
                writer.append("retention", {"days": days})

    @property
    def retention_days(self) -> int | None:
        """For how many days data are kept after the last consent ended; None is not decided."""
        policy = self._policy("retention")
        return None if policy is None else int(policy["days"])

    def beyond_retention(self) -> list[SubjectState]:
        """Return those whose data have been kept for longer than that."""
        days, now = self.retention_days, self.now()
        if days is None:
            return []
        return [
            state
            for state in self.states().values()
            if state.erased is None
            and not state.restricted  # the person wants the data kept (GDPR Art. 18(1))
            and all(state.refusal(purpose, now) for purpose in ProcessingPurpose)
            and state.last_basis(now) + timedelta(days=days) <= now
        ]

    def apply_retention(self) -> list[str]:
        """Erase what was kept for long enough; return the pseudonyms."""
        due = [state.pseudonym for state in self.beyond_retention()]
        for pseudonym in due:
            self.erase(pseudonym, "retention")
        return due

    def erase(self, pseudonym: str, reason: str, request_id: str | None = None) -> None:
        """Destroy a person's key: all that was written of the person is noise from then on.

        The ledger comes first, with the answer to the request if there is one: whoever opens the
        records after a crash in between finishes the rest.
        """
        with self.ledger.writing() as writer:
            if request_id is not None:
                writer.append("answered", {"request_id": request_id}, pseudonym)
            writer.append("erased", {"reason": reason}, pseudonym)
        self.vault.destroy(pseudonym)

    def _finish_erasures(self) -> None:
        """Destroy keys that a process killed between the two steps of `erase` left behind."""
        erased = {entry.subject for entry in self.ledger.entries(kind="erased")}
        for pseudonym in erased & self.vault.pseudonyms():
            self.vault.destroy(pseudonym)

    def _pseudonym(self, subject_id: str) -> str:
        pseudonym = self.vault.pseudonym(subject_id)
        if pseudonym is None or not self.ledger.entries(pseudonym, "registered"):
            raise ComplianceError(t("compliance.nobody", subject=subject_id))
        return pseudonym

    def _write_person(
        self, writer: Writer, kind: str, pseudonym: str, subject: DataSubject
    ) -> None:
        personal = self.vault.encrypt(pseudonym, subject.to_dict())
        payload = {"personal": personal, "jurisdiction": subject.jurisdiction}
        writer.append(kind, payload, pseudonym)

    def _policy(self, kind: str) -> dict[str, Any] | None:
        entries = self.ledger.entries(kind=kind)
        return entries[-1].payload if entries else None


def default_folder() -> Path:
    """Return `$XDG_DATA_HOME/spikeformer/privacy`, by default below `~/.local/share`."""
    root = os.environ.get("XDG_DATA_HOME")
    return (Path(root) if root else Path.home() / ".local" / "share") / "spikeformer" / "privacy"
