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


def input_column(table: Any, kind: str, override: str | None, labels: str | None = None) -> str:
    """Name of the column that holds the `kind` ("image", "audio" or "text") of each sample.

    Args:
        table: A `datasets.Dataset`.
        kind: What to look for.
        override: The name, if the person gives one.
        labels: The column of the classes, which may be texts too; it is no input.
    """

    def fits(feature: Any) -> bool:
        if kind == "text":
            return getattr(feature, "dtype", None) in ("string", "large_string")
        return type(feature).__name__ == kind.capitalize()

    return _find(table, f"{kind}_key", override, fits, INPUT_NAMES[kind], labels)


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
    other: str | None = None,
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
    fitting = [name for name in columns if fits(table.features[name]) and name != other]
    if len(fitting) == 1:
        return fitting[0]
    plain = {column.strip().lower(): column for column in (fitting or columns)}
    named = [plain[name] for name in names if name in plain]
    if named:
        return named[0]
    found = t("data.several_columns_fit") if fitting else t("data.no_column_fits")
    raise DataError(
        t("data.column_not_set", key=key, found=found, columns=", ".join(map(repr, columns)))
    )


def files_named_in(table: Any) -> set[str]:
    """Return the names of the files that cells of images and recordings stand for.

    Args:
        table: A `datasets.Dataset`; cells that carry the content name nothing.
    """
    names: set[str] = set()
    for column, feature in table.features.items():
        kind = type(feature).__name__
        if kind in ("Image", "Audio"):
            for chunk in (c for c in table.data.column(column).chunks if hasattr(c, "field")):
                # Of a struct only the field that is asked for is read.
                content = chunk.field("bytes").is_null().to_pylist()
                paths = chunk.field("path").to_pylist()
                names.update(path for path, absent in zip(paths, content, strict=True) if absent)
        elif column.lower() in (*INPUT_NAMES["image"], *INPUT_NAMES["audio"]):
            cells = table.data.column(column).to_pylist()
            names.update(cell for cell in cells if isinstance(cell, str))
    return {name for name in names if name}


def class_names_of(table: Any, column: str) -> list[str]:
    """The classes in the order of their numbers: declared ones, or the sorted values found."""
    names = getattr(table.features[column], "names", None)
    if names is not None:
        for name in names:
            check_class_name(column, name)
        return list(names)
    found = set(_values(table, column))
    if not all(isinstance(value, bool | int | str) for value in found):
        raise DataError(t("data.not_classes", column=column, type=table.features[column]))
    return [str(value) for value in sorted(found)]


def check_class_name(column: str, name: Any) -> None:
    """Raise `DataError` if a name cannot be written into a file.

    It may come from a folder or a file's header.
    """
    if not _is_text(name):
        raise DataError(t("data.no_class_name", column=column, name=ascii(name)))


def _is_text(name: Any) -> bool:
    """Whether a name can be written into a file: it may come from a folder or a file's header."""
    try:
        return bool(name.encode()) and "\0" not in name
    except (AttributeError, UnicodeEncodeError):
        return False


def labels_of(table: Any, column: str, classes: Sequence[str], split: str) -> Indices | None:
    """Class number of each sample; None if the split is published without labels (all -1)."""
    declared = getattr(table.features[column], "names", None)
    values = _values(table, column)
    if values and all(type(value) is int and value == -1 for value in values):
        return None
    if declared is not None:
        outside = sum(not 0 <= value < len(declared) for value in values)
        if outside:
            raise DataError(
                t("data.label_outside", split=split, samples=outside, last=len(declared) - 1)
            )
        values = [declared[value] for value in values]
    numbers = {name: number for number, name in enumerate(classes)}
    named = [str(value) for value in values]
    unknown = sorted({name for name in named if name not in numbers})
    if unknown:
        raise DataError(t("data.unknown_labels", split=split, labels=unknown[:5]))
    return np.array([numbers[name] for name in named], np.int64)


def _values(table: Any, column: str) -> list[Any]:
    """Return the cells; integral floats as integers, texts without blanks around them."""
    values = table.select_columns([column]).with_format("arrow")[:][column].to_pylist()
    gaps = sum(value is None or value != value or value == "" for value in values)
    if gaps:
        raise DataError(t("data.empty_cells", column=column, cells=gaps))
    return [_plain(value) for value in values]


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value.strip() if isinstance(value, str) else value


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
