"""People whose data are used, and what they agreed to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from spikeformer.compliance.law import ProcessingPurpose
from spikeformer.compliance.ledger import Entry
from spikeformer.error_handling import ArgumentError
from spikeformer.i18n import t


@dataclass(frozen=True)
class DataSubject:
    """A person whose data are used; everything here is encrypted where it is kept.

    Attributes:
        subject_id: How the data name the person, as in a column of a data set.
        name: The person's name.
        email: Where to reach the person.
        jurisdiction: Where the person lives, an ISO 3166 code; "US-CA" has the CCPA.
        attributes: What else is known, as text by name.

    Raises:
        ArgumentError: `subject_id` or `jurisdiction` is empty.
    """

    subject_id: str
    name: str | None = None
    email: str | None = None
    jurisdiction: str = "EU"
    attributes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for argument in ("subject_id", "jurisdiction"):
            value = getattr(self, argument)
            if not isinstance(value, str) or not value.strip():
                raise ArgumentError(argument, value, "text that is not empty")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Consent:
    """A consent to one purpose.

    Attributes:
        given: When it was recorded.
        expires: When it ends by itself; None is when it is withdrawn.
        has_evidence: Whether something shows that it was given (GDPR Art. 7(1)).
    """

    given: datetime
    expires: datetime | None
    has_evidence: bool

    def end(self, at: datetime) -> datetime:
        """Return when it ended; `at` if it has not by then."""
        return at if self.expires is None else min(at, self.expires)


@dataclass
class SubjectState:
    """What the ledger says of one person.

    Attributes:
        pseudonym: The person's name in the ledger.
        jurisdiction: Where the person lives.
        registered: When the person was registered.
        consents: Consents by purpose, as they stand.
        withdrawn: Purposes to which consent was withdrawn, and when.
        objections: Purposes that the person objected to.
        restricted: Whether the data may only be stored (GDPR Art. 18).
        erased: When the data were erased.
        ended: When the last of the consents ended that are over, or the person was registered.
    """

    pseudonym: str
    jurisdiction: str = "EU"
    registered: datetime | None = None
    consents: dict[str, Consent] = field(default_factory=dict)
    withdrawn: dict[str, datetime] = field(default_factory=dict)
    objections: set[str] = field(default_factory=set)
    restricted: bool = False
    erased: datetime | None = None
    ended: datetime | None = None

    def refusal(self, purpose: ProcessingPurpose, at: datetime) -> str | None:
        """Return why the data may not be used for a purpose at a time; None if they may.

        It is a word for the records; `refusal_label` shows it in the reader's language.
        """
        consent = self.consents.get(purpose.value)
        if self.erased is not None:
            return "erased"
        if self.restricted:
            return "restricted"
        if purpose.value in self.objections:
            return "objected"
        if purpose.value in self.withdrawn:
            return "withdrawn"
        if consent is None:
            return "no_consent"
        if consent.expires is not None and consent.expires <= at:
            return "expired"
        return None

    def last_basis(self, at: datetime) -> datetime:
        """Return when a consent was last there: for how long data may be kept counts from it."""
        standing = [
            consent.end(at)
            for purpose, consent in self.consents.items()
            if purpose not in self.objections
        ]
        return max([*standing, *([self.ended] if self.ended else [])], default=at)

    def apply(self, entry: Entry) -> None:
        """Follow one entry about this person."""
        payload = entry.payload
        match entry.kind:
            case "registered":
                self.registered = self.ended = entry.time
                self.jurisdiction = payload["jurisdiction"]
            case "rectified":
                self.jurisdiction = payload["jurisdiction"]
            case "consent":
                self._consent(entry)
            case "withdrawn":
                self._end(payload["purposes"], entry.time)
                for purpose in payload["purposes"]:
                    self.consents.pop(purpose, None)
                    self.withdrawn[purpose] = entry.time
            case "objected":
                self._end(payload["purposes"], entry.time)
                self.objections.update(payload["purposes"])
            case "restricted":
                self.restricted = True
            case "restriction_lifted":
                self.restricted = False
            case "erased":
                self.erased = entry.time

    def _consent(self, entry: Entry) -> None:
        expires = entry.payload["expires"]
        until = None if expires is None else datetime.fromisoformat(expires)
        consent = Consent(entry.time, until, bool(entry.payload["evidence"]))
        self._end(entry.payload["purposes"], entry.time)
        for purpose in entry.payload["purposes"]:
            self.consents[purpose] = consent
            self.withdrawn.pop(purpose, None)
            self.objections.discard(purpose)

    def _end(self, purposes: Iterable[str], at: datetime) -> None:
        """Note when the consents to some purposes ended, if they stood."""
        for purpose in set(purposes) & self.consents.keys() - self.objections:
            end = self.consents[purpose].end(at)
            self.ended = max(end, self.ended or end)


def refusal_label(reason: str) -> str:
    """Return a reason of `SubjectState.refusal` in the current locale."""
    return t(f"compliance.refusal_{reason}")


def states(entries: Iterable[Entry]) -> dict[str, SubjectState]:
    """Return what entries say of everyone in them, by pseudonym."""
    found: dict[str, SubjectState] = {}
    for entry in entries:
        if entry.subject:
            found.setdefault(entry.subject, SubjectState(entry.subject)).apply(entry)
    return found
