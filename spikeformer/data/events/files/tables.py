"""Events as columns: `.npz`, `.npy` and CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from spikeformer.data.events.files.raw import RawEvents
from spikeformer.data.events.recordings import Array
from spikeformer.files.reading import NO_ARRAYS, UnreadableFileError, read_arrays
from spikeformer.i18n import t

NAMES = {
    "t": ("t", "time", "times", "timestamp", "timestamps", "ts"),
    "x": ("x", "unit", "units", "column"),
    "y": ("y", "row"),
    "p": ("p", "pol", "polarity", "on"),
}
"""Names of columns, by what they are. Without rows all events are in row 0, without polarity all
are brighter. Times are in µs."""


def read_npz(path: Path) -> RawEvents:
    """Read arrays of the names in `NAMES`, one for each column."""
    return _columns(path, read_arrays(path))


def read_npy(path: Path) -> RawEvents:
    """Read an array of records with the names in `NAMES`."""
    try:
        with path.open("rb") as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
    except NO_ARRAYS as error:
        raise UnreadableFileError(path, "npy", error) from error
    names = array.dtype.names
    if names is None or array.ndim != 1:
        found = f"{array.dtype} {array.shape}"
        raise UnreadableFileError(path, "npy", t("data.events_columns", found=found))
    return _columns(path, {name: array[name] for name in names})


def read_csv(path: Path) -> RawEvents:
    """Read a table of numbers under a line with the names in `NAMES`."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            names = next(csv.reader(file), [])
            lines = [line for line in file if line.strip()]
        # NumPy warns of an empty table.
        rows = (
            np.loadtxt(lines, delimiter=",", comments=None, ndmin=2)
            if lines
            else np.zeros((0, len(names)))
        )
    except (ValueError, csv.Error) as error:
        raise UnreadableFileError(path, "CSV", error) from error
    columns = {name.strip().lower(): rows[:, i] for i, name in enumerate(names[: rows.shape[1]])}
    return _columns(path, columns)


def _columns(path: Path, columns: dict[str, Array]) -> RawEvents:
    kind = path.suffix[1:]
    found = {what: _first(columns, names) for what, names in NAMES.items()}
    time, x = found["t"], found["x"]
    if time is None or x is None:
        raise UnreadableFileError(path, kind, t("data.events_columns", found=", ".join(columns)))
    y = np.zeros(len(time), np.int64) if found["y"] is None else found["y"]
    p = np.ones(len(time), np.int64) if found["p"] is None else found["p"]
    given = (x, y, time, p)
    lengths = {column.shape for column in given}
    if len(lengths) > 1 or time.ndim != 1:
        shapes = ", ".join(map(str, sorted(lengths)))
        raise UnreadableFileError(path, kind, t("data.events_columns", found=shapes))
    places = [column.astype(np.int64) for column in (x, y, time)]
    rounded = any((a != b).any() for a, b in zip(places, given, strict=False))
    if rounded or min(places[0].min(initial=0), places[1].min(initial=0)) < 0:
        raise UnreadableFileError(path, kind, t("data.events_not_whole"))
    return RawEvents(places[0], places[1], places[2], p)


def _first(columns: dict[str, Array], names: Iterable[str]) -> Array | None:
    return next((columns[name] for name in names if name in columns), None)
