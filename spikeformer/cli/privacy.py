"""`spikeformer privacy ...`: records of consent from the command line."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from spikeformer.compliance import (
    NOTICE,
    ComplianceAuditor,
    ComplianceFramework,
    DataSubject,
    PrivacyManager,
    ProcessingPurpose,
    RequestType,
)
from spikeformer.compliance.law import CALIFORNIAN
from spikeformer.error_handling import ArgumentError

PURPOSES = [purpose.value for purpose in ProcessingPurpose]


def privacy(arguments: Sequence[str]) -> int:
    """Do what the arguments say; return the exit status, 1 where an audit found gaps.

    Raises:
        SpikeformerError: It cannot be done.
    """
    options = make_parser().parse_args(arguments)
    status = options.do(options)
    return int(status or 0)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of `spikeformer privacy`."""
    parser = argparse.ArgumentParser(
        "spikeformer privacy", description="Keep and use records of consent.", epilog=NOTICE
    )
    parser.add_argument("--folder", help="where the records lie")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, do: Any, help_: str, *subject: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help_, description=help_)
        added.set_defaults(do=do)
        for argument in subject:
            added.add_argument(argument)
        return added

    init = command("init", _init, "begin records, or change their names")
    init.add_argument("--organization", required=True, help="the controller")
    init.add_argument("--dpo", required=True, help="contact of the data protection officer")

    register = command("register", _register, "put people on record")
    register.add_argument("subject_ids", nargs="+", metavar="SUBJECT", help="as the data name them")
    register.add_argument("--name")
    register.add_argument("--email")
    register.add_argument("--jurisdiction", default="EU", help="ISO 3166 code, as US-CA")

    for name, do, text in (
        ("consent", _consent, "record that people agreed"),
        ("withdraw", _withdraw, "record that people no longer agree"),
    ):
        added = command(name, do, text)
        added.add_argument("subject_ids", nargs="+", metavar="SUBJECT")
        added.add_argument("--purpose", action="append", choices=PURPOSES, help="may be repeated")
        if name == "consent":
            added.add_argument("--expires", metavar="DATE", help="last day, as 2030-12-31")
            added.add_argument("--evidence", default="", help="what shows it, as a form's name")

    request = command("request", _request, "answer a request")
    request.add_argument("type", choices=[*(t.value for t in RequestType), *CALIFORNIAN])
    request.add_argument("subject_id", metavar="SUBJECT")
    request.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    request.add_argument("--purpose", action="append", choices=PURPOSES, help="to object to")
    request.add_argument("--later", action="store_true", help="only record that it came")

    command("requests", _requests, "list requests that wait for an answer")
    command("lift", _lift, "end a restriction", "subject_id")
    command("runs", _runs, "list runs that used a person's data", "subject_id")
    retention = command("retention", _retention, "say how long data are kept, or erase old ones")
    retention.add_argument("--days", type=int, help="after the last consent ended")
    retention.add_argument("--apply", action="store_true", help="erase what was kept long enough")
    audit = command("audit", _audit, "look for gaps")
    audit.add_argument(
        "--framework", default="gdpr", choices=[f.value for f in ComplianceFramework]
    )
    audit.add_argument("--json", action="store_true")
    command("verify", _verify, "make sure that nothing was changed")
    return parser


def _open(options: argparse.Namespace) -> PrivacyManager:
    return PrivacyManager.open(options.folder)


def _purposes(options: argparse.Namespace) -> list[ProcessingPurpose]:
    return [ProcessingPurpose(value) for value in options.purpose or PURPOSES[:1]]


def _init(options: argparse.Namespace) -> None:
    manager = PrivacyManager(options.organization, options.dpo, folder=options.folder)
    print(f"records of {manager.organization_name} in {manager.folder}")
    print(f"Keep a copy of the master key apart from them. {NOTICE}")


def _register(options: argparse.Namespace) -> None:
    manager, several = _open(options), len(options.subject_ids) > 1
    if several and (options.name or options.email):
        raise ArgumentError("--name", options.name, "left out for several people at once")
    for subject_id in options.subject_ids:
        person = DataSubject(subject_id, options.name, options.email, options.jurisdiction)
        new = manager.register_data_subject(person)
        print(f"{subject_id}: {'registered' if new else 'was registered already'}")


def _consent(options: argparse.Namespace) -> None:
    manager, expires = _open(options), None
    if options.expires:
        try:
            day = datetime.fromisoformat(options.expires)
        except ValueError:
            raise ArgumentError("--expires", options.expires, "a date, as 2030-12-31") from None
        expires = day.replace(hour=23, minute=59, second=59, tzinfo=UTC)
    for subject_id in options.subject_ids:
        new = manager.record_consent(
            subject_id, _purposes(options), expires=expires, evidence=options.evidence
        )
        print(f"{subject_id}: {'consent recorded' if new else 'had agreed already'}")


def _withdraw(options: argparse.Namespace) -> None:
    manager = _open(options)
    for subject_id in options.subject_ids:
        purposes = _purposes(options) if options.purpose else None
        done = manager.withdraw_consent(subject_id, purposes)
        print(f"{subject_id}: {'consent withdrawn' if done else 'had not agreed'}")


def _request(options: argparse.Namespace) -> None:
    manager = _open(options)
    if options.later:
        request = manager.requests.receive(options.type, options.subject_id)
        print(json.dumps(request.to_dict(), indent=2))
        return
    details: dict[str, Any] = {}
    for pair in options.set:
        field, equals, value = pair.partition("=")
        if not equals:
            raise ArgumentError("--set", pair, "FIELD=VALUE")
        details[field] = value
    if options.purpose:
        details["purposes"] = options.purpose
    answer = manager.handle_data_subject_request(options.type, options.subject_id, details=details)
    print(json.dumps(answer, indent=2, ensure_ascii=False))


def _requests(options: argparse.Namespace) -> None:
    manager = _open(options)
    now, waiting = manager.clock(), manager.requests.open()
    for each in waiting:
        left = (each.due - now).days
        state = f"{left} days left" if left >= 0 else f"{-left} days late"
        reference = each.to_dict()["legal_reference"]
        person = manager.person(each.pseudonym).subject_id
        print(f"{each.request_id}  {each.request.value:<13}  {person}  {state}  {reference}")
    if not waiting:
        print("no request waits for an answer")


def _lift(options: argparse.Namespace) -> None:
    lifted = _open(options).lift_restriction(options.subject_id)
    print(f"{options.subject_id}: {'restriction lifted' if lifted else 'was not restricted'}")


def _runs(options: argparse.Namespace) -> None:
    runs = _open(options).runs(options.subject_id)
    for run in runs:
        print(f"{run.entry.time:%Y-%m-%d %H:%M}  {run.folder}")
    if not runs:
        print(f"no run on record used data of {options.subject_id}")


def _retention(options: argparse.Namespace) -> None:
    manager = _open(options)
    if options.days is not None:
        manager.set_retention(options.days)
    erased = manager.apply_retention() if options.apply else []
    print(f"kept for {manager.retention_days} days after the last consent; erased {len(erased)}")


def _audit(options: argparse.Namespace) -> int:
    auditor = ComplianceAuditor(_open(options))
    report = auditor.generate_compliance_report(ComplianceFramework(options.framework))
    print(json.dumps(report.to_dict(), indent=2) if options.json else report)
    return int(report.has_gaps)


def _verify(options: argparse.Namespace) -> None:
    manager = _open(options)
    count, (_, mac) = manager.ledger.verify(), manager.ledger.head
    print(f"{count} entries are as they were written. Head, to keep elsewhere: {count} {mac}")
    sys.stdout.flush()
