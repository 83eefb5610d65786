"""What an audit looks at: each check returns its gaps, with evidence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from spikeformer.compliance.law import ComplianceFramework, ProcessingPurpose, RequestType
from spikeformer.compliance.ledger import Entry
from spikeformer.compliance.manager import PrivacyManager
from spikeformer.compliance.report import Finding
from spikeformer.compliance.requests import Request
from spikeformer.compliance.runs import RunUse, affected_by, read_runs, remaining_weights
from spikeformer.compliance.subject import SubjectState
from spikeformer.error_handling import ComplianceError

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
        title: What, for the list of what was looked at.
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
        records.manager.ledger.verify()
    except ComplianceError as error:
        remedy = "Find out who changed it, and restore it from a copy with a known head."
        yield "The ledger is not what was written into it.", [str(error)], remedy


def _contact(records: Records) -> Iterator[tuple[str, list[str], str]]:
    contact = records.manager.dpo_contact
    if not _CONTACT.fullmatch(contact.strip()):
        remedy = "Give an e-mail address, a telephone number or a web page."
        yield "The contact for data subjects cannot be reached as it stands.", [contact], remedy


def _no_basis(records: Records) -> Iterator[tuple[str, list[str], str]]:
    now = records.manager.clock()
    idle = [
        f"subject {state.pseudonym}, registered {state.registered:%Y-%m-%d}"
        for state in records.present
        if all(state.refusal(purpose, now) for purpose in ProcessingPurpose)
    ]
    if idle:
        remedy = "Record their consents with evidence, or erase them."
        yield f"{len(idle)} subjects are kept without a consent that holds.", idle, remedy


def _no_evidence(records: Records) -> Iterator[tuple[str, list[str], str]]:
    bare = [
        f"subject {state.pseudonym}: {purpose}, given {consent.given:%Y-%m-%d}"
        for state in records.present
        for purpose, consent in state.consents.items()
        if not consent.has_evidence
    ]
    if bare:
        remedy = "Record them again with evidence=..., as the name of the signed form."
        yield f"{len(bare)} consents cannot be demonstrated.", bare, remedy


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
                    bad.append(f"entry {entry.seq}: {entry.payload['folder']}, {pseudonym}: {why}")
    if bad:
        remedy = "Remove the checkpoints of these runs and train again with compliance=gdpr."
        yield f"Data were used {len(bad)} times without a consent that held.", bad, remedy


def _used_models(records: Records, gone: Callable[[SubjectState], bool]) -> list[str]:
    """Return weights still there that were learnt from people of some state."""
    return [
        f"{path}, subject {state.pseudonym}"
        for state in records.states.values()
        if gone(state)
        for run in affected_by(state.pseudonym, records.runs)
        for path in remaining_weights(run)
    ]


def _models_of_erased(records: Records) -> Iterator[tuple[str, list[str], str]]:
    files = _used_models(records, lambda state: state.erased is not None)
    if files:
        remedy = "Remove the files, and train again without these subjects."
        yield f"{len(files)} files with weights learnt from erased subjects remain.", files, remedy


def _models_of_withdrawn(records: Records) -> Iterator[tuple[str, list[str], str]]:
    training, now = ProcessingPurpose.MODEL_TRAINING, records.manager.clock()
    stopped = ("withdrawn", "objected", "restricted")
    files = _used_models(records, lambda state: state.refusal(training, now) in stopped)
    if files:
        remedy = "Decide whether these models may still be used, and train again if not."
        message = f"{len(files)} files with weights rest on subjects who since said no."
        yield message, files, remedy


def _erasures(records: Records) -> Iterator[tuple[str, list[str], str]]:
    keys = records.manager.vault.pseudonyms()
    left = [s.pseudonym for s in records.states.values() if s.erased is not None]
    left = [pseudonym for pseudonym in left if pseudonym in keys]
    if left:
        remedy = "Open the records once: that finishes what was interrupted."
        yield "Keys of erased subjects still exist.", left, remedy


def _deadlines(
    framework: ComplianceFramework,
) -> Callable[[Records], Iterator[tuple[str, list[str], str]]]:
    def find(records: Records) -> Iterator[tuple[str, list[str], str]]:
        now = records.manager.clock()
        late = [
            f"request {each.request_id} ({each.request.value}), due {each.due:%Y-%m-%d}, "
            + (f"answered {each.answered:%Y-%m-%d}" if each.answered else "open")
            for each in records.requests
            if each.framework is framework and (each.answered or now) > each.due
        ]
        if late:
            remedy = "Answer the open ones now, and say why it took so long."
            yield f"{len(late)} requests were not answered in time.", late, remedy

    return find


def _retention(records: Records) -> Iterator[tuple[str, list[str], str]]:
    manager = records.manager
    if manager.retention_days is None and records.present:
        evidence = [f"{len(records.present)} subjects, no retention period"]
        remedy = "Decide for how long: spikeformer privacy retention --days N"
        yield "It is not decided for how long data are kept.", evidence, remedy
    due = manager.beyond_retention()
    if due:
        evidence = [f"subject {s.pseudonym}, last basis {s.last_basis:%Y-%m-%d}" for s in due]
        remedy = "Erase them: spikeformer privacy retention --apply"
        yield f"{len(due)} subjects are kept beyond the retention period.", evidence, remedy


def _opt_outs(records: Records) -> Iterator[tuple[str, list[str], str]]:
    sharing = [
        f"entry {run.entry.seq}: {run.folder}, {pseudonym}"
        for run in records.runs
        if run.purpose == ProcessingPurpose.SHARING.value
        for request in records.requests
        for pseudonym in run.subjects
        if request.request is RequestType.OBJECTION
        and request.pseudonym == pseudonym
        and request.received < run.entry.time
    ]
    if sharing:
        remedy = "Stop, and take back what was shared."
        yield "Data were shared after the subject had opted out.", sharing, remedy


_GDPR, _CCPA = ComplianceFramework.GDPR, ComplianceFramework.CCPA

CHECKS = (
    Check(
        "The ledger is whole",
        {_GDPR: "GDPR Art. 5(1)(f), 5(2)", _CCPA: "11 CCR § 7101"},
        _integrity,
    ),
    Check(
        "A contact is named",
        {_GDPR: "GDPR Art. 13(1)(b), 37(7)", _CCPA: "CCPA § 1798.130(a)(1)"},
        _contact,
    ),
    Check(
        "Everyone on record has given a consent that holds", {_GDPR: "GDPR Art. 6(1)"}, _no_basis
    ),
    Check("Consents can be demonstrated", {_GDPR: "GDPR Art. 7(1)"}, _no_evidence),
    Check(
        "Runs used data with a consent that held at the time",
        {_GDPR: "GDPR Art. 5(1)(b), 6(1)(a)"},
        _used_without_consent,
    ),
    Check(
        "No weights rest on erased subjects",
        {_GDPR: "GDPR Art. 17(1)", _CCPA: "CCPA § 1798.105(c)"},
        _models_of_erased,
    ),
    Check(
        "No weights rest on subjects who since withdrew, objected or restricted",
        {_GDPR: "GDPR Art. 7(3), 18, 21", _CCPA: "CCPA § 1798.120, 1798.121"},
        _models_of_withdrawn,
    ),
    Check(
        "Erasures are finished",
        {_GDPR: "GDPR Art. 17(1)", _CCPA: "CCPA § 1798.105(c)"},
        _erasures,
    ),
    Check("Requests are answered in time", {_GDPR: "GDPR Art. 12(3)"}, _deadlines(_GDPR)),
    Check("Requests are answered in time", {_CCPA: "CCPA § 1798.130(a)(2)"}, _deadlines(_CCPA)),
    Check(
        "Data are kept no longer than decided",
        {_GDPR: "GDPR Art. 5(1)(e)", _CCPA: "CCPA § 1798.100(a)(3)"},
        _retention,
    ),
    Check("Nothing is shared after an opt-out", {_CCPA: "CCPA § 1798.120"}, _opt_outs),
)
"""Every check."""
