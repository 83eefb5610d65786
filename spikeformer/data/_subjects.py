"""Leave out of tables what people did not agree to."""

from __future__ import annotations

from spikeformer.compliance import ConsentGate
from spikeformer.data._sources import Tables
from spikeformer.error_handling import DataError

SUBJECT_NAMES = (
    "subject",
    "subject_id",
    "speaker",
    "speaker_id",
    "client_id",
    "participant",
    "participant_id",
    "patient",
    "patient_id",
    "person",
    "user",
    "user_id",
)


def with_consent(tables: Tables, gate: ConsentGate, where: str) -> Tables:
    """Return the tables without the samples that may not be used.

    Raises:
        DataError: No column names the person of a sample, or nothing is left of a split.
    """
    admitted = {}
    for name, table in tables.items():
        column = _subject_column(table.column_names, gate.subject_key, where)
        rows = table.select_columns([column]).with_format("arrow")[:][column].to_pylist()
        indices = gate.admitted(["" if row is None else str(row) for row in rows])
        if not indices and rows:
            raise DataError(
                f"Nobody in the {name} split of {where} agreed to {gate.purpose.value}: left out "
                f"are {gate.reasons()}. Record consents with: spikeformer privacy consent"
            )
        admitted[name] = table if len(indices) == len(rows) else table.select(indices)
    return admitted


def _subject_column(columns: list[str], override: str | None, where: str) -> str:
    if override in columns:
        return override
    if override is None:
        found = [name for name in SUBJECT_NAMES if name in columns]
        if found:
            return found[0]
    listed = ", ".join(map(repr, columns))
    wanted = "is not set and none is named as people are" if override is None else "is not there"
    raise DataError(
        f"compliance.subject_key={override!r} {wanted}: the columns of {where} are {listed}. Set "
        "compliance.subject_key to the one that names the person of each sample."
    )
