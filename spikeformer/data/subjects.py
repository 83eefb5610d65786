"""Leave out of tables what people did not agree to."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from torch.utils.data import Dataset, Subset

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


People = np.ndarray[Any, np.dtype[np.object_]]
"""The person of each sample of a split."""


def with_consent(tables: Tables, gate: ConsentGate, where: str) -> tuple[Tables, dict[str, People]]:
    """Return the tables without the samples that may not be used, and the person of each sample.

    Raises:
        DataError: No column names the person of a sample, or nothing is left of a split.
    """
    admitted, people = {}, {}
    for name, table in tables.items():
        column = _subject_column(table.column_names, gate.subject_key, where)
        rows = table.select_columns([column]).with_format("arrow")[:][column].to_pylist()
        names = np.array(["" if row is None else str(row) for row in rows], object)
        indices = gate.admitted(list(names))
        if not indices and rows:
            raise nobody_left(name, gate, where)
        admitted[name] = table if len(indices) == len(rows) else table.select(indices)
        people[name] = names[indices]
    return admitted, people


def without(dataset: Dataset[Any], people: People, gone: Collection[str]) -> Dataset[Any]:
    """Return a dataset without the samples of some people."""
    kept: Any = Subset(dataset, np.flatnonzero(~np.isin(people, list(gone))).tolist())
    kept.decodes = getattr(dataset, "decodes", False)
    return kept


def nobody_left(split: str, gate: ConsentGate, where: str) -> DataError:
    """Return the error that says why nothing is left of a split."""
    return DataError(
        t(
            "data.nobody_agreed",
            split=split,
            where=where,
            purpose=gate.purpose.value,
            left_out=gate.reasons(),
        )
    )


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
