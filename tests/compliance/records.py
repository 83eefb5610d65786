"""Records of consent in a temporary folder, with a clock that a test sets."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta

from spikeformer.compliance import (
    ComplianceAuditor,
    ComplianceFramework,
    DataSubject,
    PrivacyManager,
    ProcessingPurpose,
)

START = datetime(2027, 1, 31, 12, tzinfo=UTC)
TRAINING = ProcessingPurpose.MODEL_TRAINING


class Clock:
    """Tells the time that it was set to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, days: float) -> None:
        self.now += timedelta(days=days)


def make(folder, **options) -> PrivacyManager:
    return PrivacyManager("Example Lab", "dpo@example.org", folder=folder, **options)


def agreed(manager: PrivacyManager, subject_id: str, **options) -> None:
    """Register someone who agrees to training."""
    manager.register_data_subject(DataSubject(subject_id, **options))
    manager.record_consent(subject_id, [TRAINING], evidence="form 7")


def change(file, *statements):
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for name in ("no_update", "no_delete"):
            connection.execute(f"DROP TRIGGER IF EXISTS {name}")
        for statement in statements:
            connection.execute(statement)


def remove_head(folder):
    for file in folder.glob("*head*"):
        file.unlink()


def swap(file, column):
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        rows = connection.execute(f"SELECT rowid, {column} FROM keys ORDER BY rowid").fetchall()
        (a, first), (b, second) = rows[:2]
        update = f"UPDATE keys SET {column} = ? WHERE rowid = ?"
        connection.execute(update, ("aside", a))
        connection.execute(update, (first, b))
        connection.execute(update, (second, a))


def modes(folder):
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in [folder, *folder.iterdir()]}


ANNA = DataSubject("anna", "Anna Nowak", "anna@example.org", attributes={"city": "Kraków"})


def gaps(manager, framework=ComplianceFramework.GDPR):
    report = ComplianceAuditor(manager).generate_compliance_report(framework)
    return {finding.reference: finding for finding in report.findings}


def use(manager, folder, *subjects, checkpoint=None):
    """A run as the pipeline records it, with a checkpoint."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").write_bytes(folder.name.encode())
    used = {manager.vault.pseudonym(name): 5 for name in subjects}
    manager.record_run(
        folder, TRAINING, subjects=used, left_out={}, checkpoint=checkpoint, cache=None
    )
    manager.record_outputs(folder, {"checkpoints/last.ckpt": f"hash of {folder.name}"})
