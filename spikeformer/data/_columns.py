"""Find the columns of a table by what they hold, and turn labels into class numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from spikeformer.data._splits import Indices
from spikeformer.error_handling import DataError

INPUT_NAMES = {
    "image": ("image", "img", "picture", "pixels"),
    "audio": ("audio", "speech", "file", "wav"),
    "text": ("text", "sentence", "content", "review", "question"),
}
LABEL_NAMES = ("label", "labels", "target", "class", "category", "sentiment")


def input_column(table: Any, kind: str, override: str | None) -> str:
    """Name of the column that holds the `kind` ("image", "audio" or "text") of each sample."""

    def fits(feature: Any) -> bool:
        if kind == "text":
            return getattr(feature, "dtype", None) in ("string", "large_string")
        return type(feature).__name__ == kind.capitalize()

    return _find(table, f"{kind}_key", override, fits, INPUT_NAMES[kind])


def label_column(table: Any, override: str | None) -> str:
    """Name of the column that holds the class of each sample."""

    def fits(feature: Any) -> bool:
        return type(feature).__name__ == "ClassLabel"

    return _find(table, "label_key", override, fits, LABEL_NAMES)


def _find(
    table: Any,
    key: str,
    override: str | None,
    fits: Callable[[Any], bool],
    names: Sequence[str],
) -> str:
    columns = list(table.column_names)
    if override is not None:
        if override in columns:
            return override
        raise DataError(
            f"data.{key}={override!r} is not a column of the data, which has "
            f"{', '.join(map(repr, columns))}; set data.{key} to one of them"
        )
    fitting = [column for column in columns if fits(table.features[column])]
    if len(fitting) == 1:
        return fitting[0]
    named = [name for name in names if name in (fitting or columns)]
    if named:
        return named[0]
    found = "several columns fit" if fitting else "no column fits"
    raise DataError(
        f"data.{key} is not set and {found} (columns: {', '.join(map(repr, columns))}); "
        f"set data.{key} to the right one"
    )


def class_names_of(table: Any, column: str) -> list[str | int]:
    """The classes in the order of their numbers: declared ones, or the sorted values found."""
    names = getattr(table.features[column], "names", None)
    if names is not None:
        return list(names)
    values = _values(table, column)
    if values.dtype.kind not in "iubU":
        raise DataError(
            f"data.label_key={column!r} holds {table.features[column]}, not classes; "
            "choose a column of integers or strings without gaps"
        )
    return [value.item() for value in np.unique(values)]


def labels_of(table: Any, column: str, classes: list[str | int], split: str) -> Indices | None:
    """Class number of each sample; None if the split is published without labels (all -1)."""
    values = _values(table, column)
    if values.dtype.kind in "iub" and len(values) and (values.astype(np.int64) == -1).all():
        return None
    if getattr(table.features[column], "names", None) is None:
        numbers = {value: number for number, value in enumerate(classes)}
        unknown = sorted({value.item() for value in np.unique(values)} - set(classes))
        if unknown:
            raise DataError(
                f"the {split} split has labels that the training split lacks: {unknown[:5]}; "
                "check data.label_key and the files"
            )
        values = np.array([numbers[value.item()] for value in values], np.int64)
    labels = values.astype(np.int64)
    wrong = (labels < 0) | (labels >= len(classes))
    if wrong.any():
        raise DataError(
            f"the {split} split has {int(wrong.sum())} samples whose label is outside 0 to "
            f"{len(classes) - 1}; check data.label_key, or remove these samples"
        )
    return labels


def _values(table: Any, column: str) -> np.ndarray[Any, np.dtype[Any]]:
    values = table.select_columns([column]).with_format("arrow")[:][column].to_pylist()
    if any(value is None for value in values):
        raise DataError(
            f"data.label_key={column!r} has {values.count(None)} empty cells; "
            "fill them or remove these samples"
        )
    return np.array(values)
