"""Find the columns of a table by what they hold, and turn labels into class numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from spikeformer.data.splits import Indices
from spikeformer.error_handling import DataError
from spikeformer.i18n import t

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
            t(
                "data.no_such_column",
                key=key,
                column=override,
                columns=", ".join(map(repr, columns)),
            )
        )
    fitting = [column for column in columns if fits(table.features[column])]
    if len(fitting) == 1:
        return fitting[0]
    named = [name for name in names if name in (fitting or columns)]
    if named:
        return named[0]
    found = t("data.several_columns_fit") if fitting else t("data.no_column_fits")
    raise DataError(
        t("data.column_not_set", key=key, found=found, columns=", ".join(map(repr, columns)))
    )


def class_names_of(table: Any, column: str) -> list[str | int]:
    """The classes in the order of their numbers: declared ones, or the sorted values found."""
    names = getattr(table.features[column], "names", None)
    if names is not None:
        for name in names:
            if not _is_text(name):
                raise DataError(t("data.no_class_name", column=column, name=ascii(name)))
        return list(names)
    values = _values(table, column)
    if values.dtype.kind not in "iubU":
        raise DataError(t("data.not_classes", column=column, type=table.features[column]))
    return [value.item() for value in np.unique(values)]


def _is_text(name: Any) -> bool:
    """Whether a name can be written into a file: it may come from a folder or a file's header."""
    try:
        return bool(name.encode()) and "\0" not in name
    except (AttributeError, UnicodeEncodeError):
        return False


def labels_of(table: Any, column: str, classes: list[str | int], split: str) -> Indices | None:
    """Class number of each sample; None if the split is published without labels (all -1)."""
    values = _values(table, column)
    if values.dtype.kind in "iub" and len(values) and (values.astype(np.int64) == -1).all():
        return None
    if getattr(table.features[column], "names", None) is None:
        numbers = {value: number for number, value in enumerate(classes)}
        unknown = sorted({value.item() for value in np.unique(values)} - set(classes))
        if unknown:
            raise DataError(t("data.unknown_labels", split=split, labels=unknown[:5]))
        values = np.array([numbers[value.item()] for value in values], np.int64)
    labels = values.astype(np.int64)
    wrong = (labels < 0) | (labels >= len(classes))
    if wrong.any():
        raise DataError(
            t("data.label_outside", split=split, samples=int(wrong.sum()), last=len(classes) - 1)
        )
    return labels


def _values(table: Any, column: str) -> np.ndarray[Any, np.dtype[Any]]:
    values = table.select_columns([column]).with_format("arrow")[:][column].to_pylist()
    if any(value is None for value in values):
        raise DataError(t("data.empty_cells", column=column, cells=values.count(None)))
    return np.array(values)


def check_classes(configured: int | None, found: list[str], where: str) -> None:
    """Raise `DataError` unless `configured` is None or the number of classes found."""
    if configured is not None and configured != len(found):
        raise DataError(
            t(
                "data.num_classes",
                configured=configured,
                where=where,
                found=len(found),
                names=", ".join(found[:4]),
                more=", ..." if len(found) > 4 else "",
            )
        )
