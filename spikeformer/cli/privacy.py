"""`spikeformer privacy ...`: records of consent from the command line."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from spikeformer.cli.parser import command_parser
from spikeformer.compliance import (
    ComplianceAuditor,
    ComplianceFramework,
    DataSubject,
    PrivacyManager,
    ProcessingPurpose,
    RequestType,
    notice,
)
from spikeformer.compliance.law import CALIFORNIAN
from spikeformer.error_handling import ArgumentError
from spikeformer.i18n import t

_EXAMPLES = """\
  spikeformer privacy init --organization "University of X" --dpo dpo@x.example
  spikeformer privacy consent anna --purpose research
  spikeformer privacy COMMAND --help"""

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
    parser = command_parser("privacy", f"{_EXAMPLES}\n\n{textwrap.fill(notice(), 100)}")
    folder = "where the records lie"
    parser.add_argument("--folder", help=folder)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, do: Any, help_: str, *subject: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help_, description=help_)
        added.set_defaults(do=do)
        added.add_argument("--folder", default=argparse.SUPPRESS, help=folder)
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
    request.add_argument("type", choices=[*(each.value for each in RequestType), *CALIFORNIAN])
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
    begun = {"organization": manager.organization_name, "folder": manager.folder}
    print(t("cli.privacy_begun", **begun))
    print(t("cli.privacy_keep_copy", notice=notice()))


def _register(options: argparse.Namespace) -> None:
    manager, several = _open(options), len(options.subject_ids) > 1
    if several and (options.name or options.email):
        raise ArgumentError("--name", options.name, t("cli.privacy_for_one"))
    for subject_id in options.subject_ids:
        person = DataSubject(subject_id, options.name, options.email, options.jurisdiction)
        new = manager.register_data_subject(person)
        key = "cli.privacy_registered" if new else "cli.privacy_registered_already"
        print(t(key, subject=subject_id))


def _consent(options: argparse.Namespace) -> None:
    manager, expires = _open(options), None
    if options.expires:
        try:
            day = datetime.fromisoformat(options.expires)
        except ValueError:
            expected = t("cli.privacy_a_date")
            raise ArgumentError("--expires", options.expires, expected) from None
        expires = day.replace(hour=23, minute=59, second=59, tzinfo=UTC)
    for subject_id in options.subject_ids:
        new = manager.record_consent(
            subject_id, _purposes(options), expires=expires, evidence=options.evidence
        )
        key = "cli.privacy_agreed" if new else "cli.privacy_agreed_already"
        print(t(key, subject=subject_id))


def _withdraw(options: argparse.Namespace) -> None:
    manager = _open(options)
    for subject_id in options.subject_ids:
        purposes = _purposes(options) if options.purpose else None
        done = manager.withdraw_consent(subject_id, purposes)
        key = "cli.privacy_withdrew" if done else "cli.privacy_had_not_agreed"
        print(t(key, subject=subject_id))


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
    now, waiting = manager.now(), manager.requests.open()
    for each in waiting:
        left = (each.due - now).days
        key = "cli.privacy_days_left" if left >= 0 else "cli.privacy_days_late"
        state = t(key, count=abs(left))
        reference = each.to_dict()["legal_reference"]
        person = manager.person(each.pseudonym).subject_id
        print(f"{each.request_id}  {each.request.value:<13}  {person}  {state}  {reference}")
    if not waiting:
        print(t("cli.privacy_none_waits"))


def _lift(options: argparse.Namespace) -> None:
    lifted = _open(options).lift_restriction(options.subject_id)
    key = "cli.privacy_lifted" if lifted else "cli.privacy_was_not_restricted"
    print(t(key, subject=options.subject_id))


def _runs(options: argparse.Namespace) -> None:
    runs = _open(options).runs(options.subject_id)
    for run in runs:
        print(f"{run.entry.time:%Y-%m-%d %H:%M}  {run.folder}")
    if not runs:
        print(t("cli.privacy_no_run", subject=options.subject_id))


def _retention(options: argparse.Namespace) -> None:
    manager = _open(options)
    if options.days is not None:
        manager.set_retention(options.days)
    erased = manager.apply_retention() if options.apply else []
    days, number = manager.retention_days, len(erased)
    if days is None:
        print(t("cli.privacy_kept_undecided", erased=number))
    else:
        print(t("cli.privacy_kept", days=days, erased=number))


def _audit(options: argparse.Namespace) -> int:
    auditor = ComplianceAuditor(_open(options))
    report = auditor.generate_compliance_report(ComplianceFramework(options.framework))
    print(json.dumps(report.to_dict(), indent=2, ensure_ascii=False) if options.json else report)
    return int(report.has_gaps)


def _verify(options: argparse.Namespace) -> None:
    manager = _open(options)
    count, (_, mac) = manager.verify(), manager.ledger.head
    print(t("cli.privacy_verified", count=count, mac=mac))
    sys.stdout.flush()
