"""What an audit looks at: each check returns its gaps, with evidence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from spikeformer.compliance.law import ComplianceFramework, ProcessingPurpose, RequestType
from spikeformer.compliance.ledger import Entry
from spikeformer.compliance.manager import PrivacyManager
from spikeformer.compliance.report import Finding
from spikeformer.compliance.requests import Request
from spikeformer.compliance.runs import RunUse, affected_by, read_runs, remaining_weights
from spikeformer.compliance.subject import SubjectState, refusal_label
from spikeformer.error_handling import ComplianceError
from spikeformer.i18n import t

_CONTACT = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+|https?://\S+|\+?[\d ()/-]{7,}")


@dataclass
class Records:
    """The records as an audit reads them, once.

    Attributes:
        manager: Where they are from.
        entries: The ledger.
        states: What it says of everyone.
        runs: The runs on record.
        requests: The requests on record.
    """

    manager: PrivacyManager
    entries: list[Entry] = field(init=False)
    states: dict[str, SubjectState] = field(init=False)
    runs: list[RunUse] = field(init=False)
    requests: list[Request] = field(init=False)

    def __post_init__(self) -> None:
        self.entries = self.manager.ledger.entries()
        self.states = self.manager.states()
        self.runs = read_runs(self.entries)
        self.requests = self.manager.requests.all()

    @property
    def present(self) -> list[SubjectState]:
        """Those who were not erased."""
        return [state for state in self.states.values() if state.erased is None]


@dataclass(frozen=True)
class Check:
    """One thing an audit looks at.

    Attributes:
        title: Message that says what, for the list of what was looked at.
        references: The rule in each law; laws without one leave the check out.
        find: Yields message, evidence and remedy of each gap.
    """

    title: str
    references: dict[ComplianceFramework, str]
    find: Callable[[Records], Iterator[tuple[str, list[str], str]]]

    def findings(self, records: Records, framework: ComplianceFramework) -> list[Finding]:
        """Return the gaps."""
        reference = self.references[framework]
        return [Finding(reference, *gap) for gap in self.find(records)]


def _integrity(records: Records) -> Iterator[tuple[str, list[str], str]]:
    try:
        records.manager.verify()
    except ComplianceError as error:
        remedy = t("compliance.ledger_tampered_remedy")
        yield t("compliance.ledger_tampered"), [str(error)], remedy


def _contact(records: Records) -> Iterator[tuple[str, list[str], str]]:
    contact = records.manager.dpo_contact
    if not _CONTACT.fullmatch(contact.strip()):
        remedy = t("compliance.unreachable_contact_remedy")
        yield t("compliance.unreachable_contact"), [contact], remedy


def _no_basis(records: Records) -> Iterator[tuple[str, list[str], str]]:
    now = records.manager.now()
    idle = [
        t("compliance.subject_registered", subject=state.pseudonym, date=_day(state.registered))
        for state in records.present
        if all(state.refusal(purpose, now) for purpose in ProcessingPurpose)
    ]
    if idle:
        remedy = t("compliance.no_basis_remedy")
        yield t("compliance.no_basis", count=len(idle)), idle, remedy


def _no_evidence(records: Records) -> Iterator[tuple[str, list[str], str]]:
    bare = [
        t(
            "compliance.subject_gave",
            subject=state.pseudonym,
            purpose=purpose,
            date=_day(consent.given),
        )
        for state in records.present
        for purpose, consent in state.consents.items()
        if not consent.has_evidence
    ]
    if bare:
        yield t("compliance.no_evidence", count=len(bare)), bare, t("compliance.no_evidence_remedy")


def _used_without_consent(records: Records) -> Iterator[tuple[str, list[str], str]]:
    """Follow the ledger, and look at each run with the consents as they stood then."""
    known: dict[str, SubjectState] = {}
    bad = []
    for entry in records.entries:
        if entry.subject:
            known.setdefault(entry.subject, SubjectState(entry.subject)).apply(entry)
        elif entry.kind == "run":
            purpose = ProcessingPurpose(entry.payload["purpose"])
            for pseudonym in entry.payload["subjects"]:
                state = known.get(pseudonym)
                why = state.refusal(purpose, entry.time) if state else "unknown"
                if why:
                    use = t(
                        "compliance.entry_of_use",
                        number=entry.seq,
                        folder=entry.payload["folder"],
                        subject=pseudonym,
                        reason=refusal_label(why),
                    )
                    bad.append(use)
    if bad:
        remedy = t("compliance.used_without_remedy")
        yield t("compliance.used_without", count=len(bad)), bad, remedy


def _used_models(records: Records, gone: Callable[[SubjectState], bool]) -> list[str]:
    """Return weights still there that were learnt from people of some state."""
    return [
        t("compliance.file_of_subject", path=path, subject=state.pseudonym)
        for state in records.states.values()
        if gone(state)
        for run in affected_by(state.pseudonym, records.runs)
        for path in remaining_weights(run)
    ]


def _models_of_erased(records: Records) -> Iterator[tuple[str, list[str], str]]:
    files = _used_models(records, lambda state: state.erased is not None)
    if files:
        remedy = t("compliance.erased_models_remedy")
        yield t("compliance.erased_models", count=len(files)), files, remedy


def _models_of_withdrawn(records: Records) -> Iterator[tuple[str, list[str], str]]:
    training, now = ProcessingPurpose.MODEL_TRAINING, records.manager.now()
    stopped = ("withdrawn", "objected", "restricted")
    files = _used_models(records, lambda state: state.refusal(training, now) in stopped)
    if files:
        remedy = t("compliance.withdrawn_models_remedy")
        yield t("compliance.withdrawn_models", count=len(files)), files, remedy


def _erasures(records: Records) -> Iterator[tuple[str, list[str], str]]:
    keys = records.manager.vault.pseudonyms()
    left = [s.pseudonym for s in records.states.values() if s.erased is not None]
    left = [pseudonym for pseudonym in left if pseudonym in keys]
    if left:
        yield t("compliance.keys_left"), left, t("compliance.keys_left_remedy")


def _deadlines(
    framework: ComplianceFramework,
) -> Callable[[Records], Iterator[tuple[str, list[str], str]]]:
    def find(records: Records) -> Iterator[tuple[str, list[str], str]]:
        now = records.manager.now()
        late = [
            _late(each)
            for each in records.requests
            if each.framework is framework and (each.answered or now) > each.due
        ]
        if late:
            yield t("compliance.late", count=len(late)), late, t("compliance.late_remedy")

    return find


def _late(request: Request) -> str:
    facts = {
        "request": request.request_id,
        "type": request.request.value,
        "due": _day(request.due),
    }
    if request.answered is None:
        return t("compliance.late_open", **facts)
    return t("compliance.late_answered", **facts, answered=_day(request.answered))


def _day(time: datetime | None) -> str:
    return "" if time is None else f"{time:%Y-%m-%d}"


def _retention(records: Records) -> Iterator[tuple[str, list[str], str]]:
    manager = records.manager
    if manager.retention_days is None and records.present:
        evidence = [t("compliance.without_period", count=len(records.present))]
        yield t("compliance.no_period"), evidence, t("compliance.no_period_remedy")
    due, now = manager.beyond_retention(), manager.now()
    if due:
        evidence = [
            t("compliance.subject_basis", subject=each.pseudonym, date=_day(each.last_basis(now)))
            for each in due
        ]
        yield t("compliance.beyond", count=len(due)), evidence, t("compliance.beyond_remedy")


def _opt_outs(records: Records) -> Iterator[tuple[str, list[str], str]]:
    sharing = [
        t(
            "compliance.entry_of_sharing",
            number=run.entry.seq,
            folder=run.folder,
            subject=pseudonym,
        )
        for run in records.runs
        if run.purpose == ProcessingPurpose.SHARING.value
        for request in records.requests
        for pseudonym in run.subjects
        if request.request is RequestType.OBJECTION
        and request.pseudonym == pseudonym
        and request.received < run.entry.time
    ]
    if sharing:
        yield t("compliance.shared"), sharing, t("compliance.shared_remedy")


_GDPR, _CCPA = ComplianceFramework.GDPR, ComplianceFramework.CCPA

CHECKS = (
    Check(
        "compliance.check_ledger",
        {_GDPR: "GDPR Art. 5(1)(f), 5(2)", _CCPA: "11 CCR § 7101"},
        _integrity,
    ),
    Check(
        "compliance.check_contact",
        {_GDPR: "GDPR Art. 13(1)(b), 37(7)", _CCPA: "CCPA § 1798.130(a)(1)"},
        _contact,
    ),
    Check("compliance.check_basis", {_GDPR: "GDPR Art. 6(1)"}, _no_basis),
    Check("compliance.check_evidence", {_GDPR: "GDPR Art. 7(1)"}, _no_evidence),
    Check(
        "compliance.check_uses",
        {_GDPR: "GDPR Art. 5(1)(b), 6(1)(a)"},
        _used_without_consent,
    ),
    Check(
        "compliance.check_erased_models",
        {_GDPR: "GDPR Art. 17(1)", _CCPA: "CCPA § 1798.105(c)"},
        _models_of_erased,
    ),
    Check(
        "compliance.check_withdrawn_models",
        {_GDPR: "GDPR Art. 7(3), 18, 21", _CCPA: "CCPA § 1798.120, 1798.121"},
        _models_of_withdrawn,
    ),
    Check(
        "compliance.check_erasures",
        {_GDPR: "GDPR Art. 17(1)", _CCPA: "CCPA § 1798.105(c)"},
        _erasures,
    ),
    Check("compliance.check_deadlines", {_GDPR: "GDPR Art. 12(3)"}, _deadlines(_GDPR)),
    Check("compliance.check_deadlines", {_CCPA: "CCPA § 1798.130(a)(2)"}, _deadlines(_CCPA)),
    Check(
        "compliance.check_retention",
        {_GDPR: "GDPR Art. 5(1)(e)", _CCPA: "CCPA § 1798.100(a)(3)"},
        _retention,
    ),
    Check("compliance.check_opt_outs", {_CCPA: "CCPA § 1798.120"}, _opt_outs),
)
"""Every check."""
