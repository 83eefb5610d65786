"""CSV files as tables: nothing is guessed from the first rows, and no word is taken for a gap."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from spikeformer.data.columns import INPUT_NAMES
from spikeformer.i18n import t

SEPARATORS = (",", "\t", ";", "|")
_BLOCK = 2**30
_INTEGER = r"^-?(0|[1-9][0-9]{0,17})$"
_NUMBER = r"^[+-]?(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][+-]?[0-9]+)?$"


def read_csv(splits: Mapping[str, Sequence[Path]]) -> dict[str, Any]:
    """Return the table of each split as a `datasets.Dataset`.

    An empty cell is a gap; "None", "NA" and the like are texts. A column is one of numbers if all
    its cells in all files are. The separator is what parts the header into most columns.

    Args:
        splits: The files of each split, with a header each; UTF-8, or UTF-16 with its mark.

    Raises:
        ValueError: A row has other columns than the header, or a file other ones than the first.
    """
    arrow, datasets = import_module("pyarrow"), import_module("datasets")
    read = {split: [_read(file) for file in files] for split, files in splits.items()}
    files = [file for some in splits.values() for file in some]
    tables = [table for some in read.values() for table in some]
    names = tables[0].column_names
    for file, table in zip(files, tables, strict=True):
        if sorted(table.column_names) != sorted(names):
            got = ", ".join(map(repr, table.column_names))
            expected = ", ".join(map(repr, names))
            raise ValueError(t("data.other_columns", file=file.name, got=got, expected=expected))
    kinds = {name: _kind(name, [table[name] for table in tables]) for name in names}
    schema = arrow.schema([(name, kinds[name]) for name in names])
    return {
        split: datasets.Dataset(
            arrow.concat_tables([table.select(names).cast(schema) for table in some])
        )
        for split, some in read.items()
    }


def _read(file: Path) -> Any:
    """Return the texts of one file, with null where a cell is empty."""
    arrow, reader = import_module("pyarrow"), import_module("pyarrow.csv")
    with file.open("rb") as stream:
        wide = stream.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding = "utf-16" if wide else "utf-8-sig"
    with file.open(encoding=encoding, newline="") as text:
        separator, header = _header(text)
    return reader.read_csv(
        file,
        read_options=reader.ReadOptions(
            column_names=header,
            skip_rows_after_names=1,
            encoding="utf-16" if wide else "utf8",
            block_size=min(max(file.stat().st_size * (2 if wide else 1), 1) + 1, _BLOCK),
        ),
        parse_options=reader.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=reader.ConvertOptions(
            column_types=dict.fromkeys(header, arrow.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _header(text: Iterable[str]) -> tuple[str, list[str]]:
    """Return the separator of a file and the names of its columns."""
    lines = iter(text)
    line = next((line for line in lines if line.strip()), "")
    rows = {mark: next(csv.reader([line], delimiter=mark), []) for mark in SEPARATORS}
    mark = max(SEPARATORS, key=lambda mark: len(rows[mark]))
    row = rows[mark]
    if len(row) == 1:
        mark = "\x1f"  # one text in each line, commas and all
    names = [name.strip() or f"column {number}" for number, name in enumerate(row)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names:
        raise ValueError(t("data.no_header", names=", ".join(map(repr, twice)) or repr(line)))
    return mark, names


def _kind(name: str, columns: Sequence[Any]) -> Any:
    """Return the type of a column: int64 or float64 if every cell is a number, else string."""
    arrow, compute = import_module("pyarrow"), import_module("pyarrow.compute")
    cells = arrow.chunked_array(
        [chunk for column in columns for chunk in column.chunks]
    ).drop_null()
    if name not in INPUT_NAMES["text"] and len(cells):
        for pattern, kind in ((_INTEGER, arrow.int64()), (_NUMBER, arrow.float64())):
            if compute.all(compute.match_substring_regex(cells, pattern)).as_py():
                return kind
    return arrow.string()
