"""Requests of data subjects: received, due, answered."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from spikeformer.compliance.law import (
    REFERENCES,
    ComplianceFramework,
    ProcessingPurpose,
    RequestType,
    due_date,
    notice,
    read_request,
)
from spikeformer.compliance.ledger import Entry
from spikeformer.compliance.runs import describe
from spikeformer.compliance.subject import DataSubject
from spikeformer.error_handling import ArgumentError
from spikeformer.i18n import t

if TYPE_CHECKING:
    from spikeformer.compliance.manager import PrivacyManager


@dataclass(frozen=True)
class Request:
    """A request as it stands.

    Attributes:
        request_id: Its id.
        pseudonym: Who asked.
        request: What for.
        framework: Under which law.
        received: When it came.
        due: When the answer is due.
        answered: When it was answered; None is not yet.
    """

    request_id: str
    pseudonym: str
    request: RequestType
    framework: ComplianceFramework
    received: datetime
    due: datetime
    answered: datetime | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the facts, ready for JSON."""
        return {
            "request_id": self.request_id,
            "request_type": self.request.value,
            "framework": self.framework.value,
            "legal_reference": REFERENCES[self.framework, self.request],
            "received": self.received.isoformat(timespec="seconds"),
            "due": self.due.isoformat(timespec="seconds"),
            "status": "open" if self.answered is None else "answered",
        }


class RequestDesk:
    """Receives requests, keeps their deadlines and answers them.

    Args:
        manager: The records.
    """

    def __init__(self, manager: PrivacyManager) -> None:
        self._manager = manager

    def receive(
        self, request_type: str, subject_id: str, *, received: datetime | None = None
    ) -> Request:
        """Put on record that a request came, to be answered later; its deadline runs from then.

        Args:
            request_type: As in `PrivacyManager.handle_data_subject_request`.
            subject_id: Who asks.
            received: When it came, with a time zone; None is now.

        Raises:
            ArgumentError: There is no such request.
            ComplianceError: Nobody of this name is registered.
        """
        manager = self._manager
        pseudonym = manager._pseudonym(subject_id)
        jurisdiction = manager.states()[pseudonym].jurisdiction
        request, framework = read_request(request_type, jurisdiction)
        came = received or manager.now()
        if came.tzinfo is None:
            raise ArgumentError("received", came.isoformat(), "a time with a time zone")
        new = Request(
            secrets.token_hex(6),
            pseudonym,
            request,
            framework,
            came,
            due_date(came, request, framework, extended=False),
        )
        payload = {**new.to_dict(), "received": came.isoformat(), "due": new.due.isoformat()}
        with manager.ledger.writing() as writer:
            writer.append("request", payload, pseudonym)
        return new

    def all(self) -> list[Request]:
        """Return every request, in order of arrival."""
        found: dict[str, Request] = {}
        for entry in self._manager.ledger.entries():
            payload = entry.payload
            match entry.kind:
                case "request":
                    found[payload["request_id"]] = _read(entry)
                case "extended":
                    old = found[payload["request_id"]]
                    due = datetime.fromisoformat(payload["due"])
                    found[old.request_id] = replace(old, due=due)
                case "answered":
                    old = found[payload["request_id"]]
                    found[old.request_id] = replace(old, answered=entry.time)
        return list(found.values())

    def open(self) -> list[Request]:
        """Return those without an answer, the most urgent one first."""
        waiting = [request for request in self.all() if request.answered is None]
        return sorted(waiting, key=lambda request: request.due)

    def extend(self, request_id: str, reason: str) -> Request:
        """Extend a deadline (GDPR Art. 12(3): by two months; CCPA § 1798.130(a)(2): by 45 days).

        Args:
            request_id: The request.
            reason: Why, which the subject must be told within the first deadline; kept encrypted.

        Raises:
            ArgumentError: There is no such open request, or no reason.
        """
        old = self._open(request_id)
        if not reason.strip():
            raise ArgumentError("reason", reason, "the reason that the subject is told")
        due = due_date(old.received, old.request, old.framework, extended=True)
        shown = self._manager.vault.encrypt(old.pseudonym, reason)
        payload = {"request_id": request_id, "due": due.isoformat(), "reason": shown}
        with self._manager.ledger.writing() as writer:
            writer.append("extended", payload, old.pseudonym)
        return replace(old, due=due)

    def answer(self, request_id: str, details: Mapping[str, Any]) -> dict[str, Any]:
        """Answer an open request.

        Raises:
            ArgumentError: There is no such open request, or the details are not what it needs.
        """
        request, manager = self._open(request_id), self._manager
        person = manager.person(request.pseudonym)
        answer = _ANSWERS[request.request](manager, person, request.pseudonym, details)
        if request.request is RequestType.ERASURE:
            manager.erase(request.pseudonym, "request", request_id)
        else:
            with manager.ledger.writing() as writer:
                writer.append("answered", {"request_id": request_id}, request.pseudonym)
        done = replace(request, answered=manager.now())
        return {**done.to_dict(), "subject_id": person.subject_id, **answer, "notice": notice()}

    def handle(
        self, request_type: str, subject_id: str, details: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Answer a request at once; if it waits already, answer that one."""
        pseudonym = self._manager._pseudonym(subject_id)
        jurisdiction = self._manager.states()[pseudonym].jurisdiction
        wanted = read_request(request_type, jurisdiction)
        for request in self.open():
            if (request.pseudonym, (request.request, request.framework)) == (pseudonym, wanted):
                return self.answer(request.request_id, details)
        _check_details(wanted[0], details)
        return self.answer(self.receive(request_type, subject_id).request_id, details)

    def _open(self, request_id: str) -> Request:
        for request in self.open():
            if request.request_id == request_id:
                return request
        waiting = ", ".join(request.request_id for request in self.open()) or t("compliance.none")
        expected = t("compliance.open_request", waiting=waiting)
        raise ArgumentError("request_id", request_id, expected)


def _read(entry: Entry) -> Request:
    payload = entry.payload
    return Request(
        payload["request_id"],
        entry.subject,
        RequestType(payload["request_type"]),
        ComplianceFramework(payload["framework"]),
        datetime.fromisoformat(payload["received"]),
        datetime.fromisoformat(payload["due"]),
    )


def _access(
    manager: PrivacyManager, person: DataSubject, pseudonym: str, details: Mapping[str, Any]
) -> dict[str, Any]:
    """Return everything on record (Art. 15(1): purposes, data, duration, rights)."""
    state, runs = manager.states()[pseudonym], manager.runs(person.subject_id)
    return {
        "controller": manager.organization_name,
        "contact": manager.dpo_contact,
        "data": person.to_dict(),
        "consents": _consents(manager, pseudonym),
        "restricted": state.restricted,
        "objections": sorted(state.objections),
        "retention_days": manager.retention_days,
        "runs": [describe(run, pseudonym) for run in runs],
        "rights": t("compliance.rights"),
    }


def _portability(
    manager: PrivacyManager, person: DataSubject, pseudonym: str, details: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the person provided, for another controller to read."""
    content = {"data": person.to_dict(), "consents": _consents(manager, pseudonym)}
    return {"format": "application/json", "export": content}


def _rectification(
    manager: PrivacyManager, person: DataSubject, pseudonym: str, details: Mapping[str, Any]
) -> dict[str, Any]:
    """Change fields of the person."""
    _check_details(RequestType.RECTIFICATION, details)
    changed = replace(person, **details)
    with manager.ledger.writing() as writer:
        manager._write_person(writer, "rectified", pseudonym, changed)
    return {"changed": sorted(details), "data": changed.to_dict()}


def _erasure(
    manager: PrivacyManager, person: DataSubject, pseudonym: str, details: Mapping[str, Any]
) -> dict[str, Any]:
    """Tell what came of the data, before the key goes."""
    runs = manager.runs(person.subject_id)
    return {
        "affected_runs": [describe(run, pseudonym) for run in runs],
        "erased": t("compliance.erased"),
        "remaining": t("compliance.remaining"),
    }


def _restriction(
    manager: PrivacyManager, person: DataSubject, pseudonym: str, details: Mapping[str, Any]
) -> dict[str, Any]:
    """Allow storing alone, until `PrivacyManager.lift_restriction`."""
    with manager.ledger.writing() as writer:
        writer.append("restricted", {}, pseudonym)
    return {"restricted": True}


def _objection(
    manager: PrivacyManager, person: DataSubject, pseudonym: str, details: Mapping[str, Any]
) -> dict[str, Any]:
    """Stop using the data for some purposes, or for all."""
    named = details.get("purposes") or list(ProcessingPurpose)
    purposes = sorted({ProcessingPurpose(purpose).value for purpose in named})
    with manager.ledger.writing() as writer:
        writer.append("objected", {"purposes": purposes}, pseudonym)
    return {"stopped": purposes}


_Answer = Callable[["PrivacyManager", DataSubject, str, Mapping[str, Any]], dict[str, Any]]

_ANSWERS: dict[RequestType, _Answer] = {
    RequestType.ACCESS: _access,
    RequestType.RECTIFICATION: _rectification,
    RequestType.ERASURE: _erasure,
    RequestType.RESTRICTION: _restriction,
    RequestType.PORTABILITY: _portability,
    RequestType.OBJECTION: _objection,
}


def _check_details(request: RequestType, details: Mapping[str, Any]) -> None:
    fields = ("name", "email", "jurisdiction", "attributes")
    if request is RequestType.RECTIFICATION and (not details or set(details) - set(fields)):
        wanted = t("compliance.what_to_change", fields=", ".join(fields))
        raise ArgumentError("details", dict(details), wanted)


def _consents(manager: PrivacyManager, pseudonym: str) -> list[dict[str, Any]]:
    """Return the history of a person's consents."""
    history = []
    for entry in manager.ledger.entries(pseudonym):
        if entry.kind in ("consent", "withdrawn"):
            evidence = entry.payload.get("evidence")
            history.append(
                {
                    "what": "given" if entry.kind == "consent" else "withdrawn",
                    "time": entry.time.isoformat(timespec="seconds"),
                    "purposes": entry.payload["purposes"],
                    "expires": entry.payload.get("expires"),
                    "evidence": manager.vault.decrypt(pseudonym, evidence) if evidence else None,
                }
            )
    return history
