"""Event files of all kinds, by the ends of their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spikeformer.data.events.files.aer import read_aedat, read_bin
from spikeformer.data.events.files.prophesee import read_dat, read_raw
from spikeformer.data.events.files.raw import RawEvents, foreign
from spikeformer.data.events.files.tables import read_csv, read_npy, read_npz
from spikeformer.error_handling import DataError
from spikeformer.files.reading import UnreadableFileError
from spikeformer.i18n import t

READERS: dict[str, Callable[[Path], RawEvents]] = {
    ".bin": read_bin,
    ".aedat": read_aedat,
    ".aedat4": read_aedat,
    ".dat": read_dat,
    ".raw": read_raw,
    ".npz": read_npz,
    ".npy": read_npy,
    ".csv": read_csv,
}
"""Readers by the end of a file's name."""
LARGEST_SENSOR = 2**14
"""Rows or columns; what needs more is damaged."""


def read_events(path: Path) -> RawEvents:
    r"""Read the events of one recording.

    Args:
        path: A file whose name ends as one of `READERS`.

    Raises:
        DataError: The name ends otherwise.
        UnreadableFileError: The file is empty, cut short, or of another kind than its name says.
        MissingDependencyError: The format needs a package that is not installed.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "recording.csv"
        >>> _ = path.write_text("t,x,y,p\n10,3,0,1\n12,0,1,0\n")
        >>> events = read_events(path)
        >>> events.x.tolist(), events.least_size
        ([3, 0], (2, 4))
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        endings = ", ".join(READERS)
        raise DataError(t("data.events_unknown_ending", path=path, endings=endings))
    events = reader(path)
    if not len(events.t):
        raise UnreadableFileError(path, path.suffix[1:], t("data.events_none"))
    if max(events.least_size) > LARGEST_SENSOR:
        raise foreign(path, path.suffix[1:], " x ".join(map(str, events.least_size)))
    return events


__all__ = ["READERS", "RawEvents", "read_events"]
