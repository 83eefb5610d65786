"""Whether files are what they were: by size and times, and by content where those differ."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from spikeformer.files.reading import UnreadableFileError, read_json
from spikeformer.files.writing import file_hash, value_hash, write_json

Stamp = tuple[int, int, int]
"""Size in bytes, time of the content and of the entry in ns."""


def stamp(path: Path) -> Stamp:
    """Return what changes when somebody writes or replaces a file."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def files_in(folder: Path) -> list[Path]:
    """Return the files that lie in a folder itself; none if it is no folder."""
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


class KnownFiles:
    """Hashes of files, kept in a file of their own with what each file looked like.

    Args:
        record: Where they are kept; one that cannot be read counts as empty.
        largest: Files that together have more bytes are told by size and times alone.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.csv").write_text("1")
        >>> known = KnownFiles(folder / "inputs.json")
        >>> before = known.digest([folder / "a.csv"])
        >>> _ = (folder / "a.csv").write_text("2")
        >>> known.digest([folder / "a.csv"]) == before
        False
    """

    def __init__(self, record: Path, largest: int = 16 * 2**30) -> None:
        self._record, self._largest = record, largest
        try:
            self._known = read_json(record, dict[str, tuple[Stamp, str]])
        except (FileNotFoundError, UnreadableFileError):
            self._known = {}
        self._asked: dict[str, tuple[Stamp, str]] = {}

    def digest(self, files: Iterable[Path]) -> str:
        """Return one hash of the names and contents of files; the empty text if there are none."""
        paths = sorted(set(files))
        stamps = {path: stamp(path) for path in paths}
        hashed = sum(size for size, *_ in stamps.values()) <= self._largest
        for path, now in stamps.items():
            before = self._known.get(str(path))
            if before is None or before[0] != now:
                before = (now, file_hash(path) if hashed else value_hash(now))
            self._known[str(path)] = self._asked[str(path)] = before
        return value_hash([[str(p), self._asked[str(p)][1]] for p in paths]) if paths else ""

    def save(self) -> None:
        """Write the hashes that were asked for."""
        if self._asked:
            write_json(self._record, self._asked)
