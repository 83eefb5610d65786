"""Leave out of tables what people did not agree to."""

from __future__ import annotations

from spikeformer.compliance import ConsentGate
from spikeformer.data.sources import Tables
from spikeformer.error_handling import DataError
from spikeformer.i18n import t

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
                t(
                    "data.nobody_agreed",
                    split=name,
                    where=where,
                    purpose=gate.purpose.value,
                    left_out=gate.reasons(),
                )
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
    key = "data.subject_key_not_set" if override is None else "data.subject_key_not_there"
    raise DataError(t(key, key=override, where=where, columns=listed))
