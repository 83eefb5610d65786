"""What every reader of event files returns, and the errors that they share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeformer.data.events.recordings import Array, Recordings
from spikeformer.files.reading import UnreadableFileError
from spikeformer.i18n import t


@dataclass(frozen=True, eq=False)
class RawEvents:
    """The events of a file.

    Attributes:
        x: Columns, (events,).
        y: Rows, (events,).
        t: Times in µs, (events,).
        p: Polarities, (events,); above 0 is brighter.
        size: (height, width) of the sensor; None where the file does not say.
    """

    x: Array
    y: Array
    t: Array
    p: Array
    size: tuple[int, int] | None = None

    @property
    def least_size(self) -> tuple[int, int]:
        """The sensor's size, or the smallest on which all events lie."""
        if self.size is not None:
            return self.size
        return int(self.y.max(initial=0)) + 1, int(self.x.max(initial=0)) + 1

    def on(self, size: tuple[int, int]) -> Recordings:
        """Return the recording on a sensor of a size."""
        height, width = size
        p = np.asarray(self.p) > 0
        return Recordings.of(self.x, self.y, self.t, p, height=height, width=width)


def cut_short(path: Path, kind: str) -> UnreadableFileError:
    """Return the error of a file that ends within an event or a packet."""
    return UnreadableFileError(path, kind, t("data.events_cut_short"))


def foreign(path: Path, kind: str, found: object) -> UnreadableFileError:
    """Return the error of a file of another kind; `found` is what is there instead."""
    return UnreadableFileError(path, kind, t("data.events_foreign", found=found))


def header_lines(content: bytes, mark: bytes) -> tuple[list[str], int]:
    """Return the lines at the start that begin with a mark, and where the data begin."""
    lines: list[str] = []
    place = 0
    while content[place : place + 1] == mark:
        end = content.find(b"\n", place)
        if end < 0:
            return lines, len(content)
        lines.append(content[place + 1 : end].decode("latin-1").strip())
        place = end + 1
    return lines, place


def records(path: Path, kind: str, content: bytes, dtype: Any) -> Array:
    """Return bytes as whole records.

    Raises:
        UnreadableFileError: They end within one.
    """
    dtype = np.dtype(dtype)
    if len(content) % dtype.itemsize:
        raise cut_short(path, kind)
    return np.frombuffer(content, dtype)
