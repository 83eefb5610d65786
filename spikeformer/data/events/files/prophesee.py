"""Prophesee's recordings: DAT, and RAW in EVT 2 and EVT 3."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spikeformer.data.events.files.raw import (
    RawEvents,
    cut_short,
    foreign,
    header_lines,
    records,
)
from spikeformer.data.sources import optional_import
from spikeformer.files.reading import UnreadableFileError
from spikeformer.i18n import t

_CHANGES = (0x00, 0x0C)
"""Types of events in DAT that are changes of brightness."""


def read_dat(path: Path) -> RawEvents:
    """Read DAT, version 2: after the header, type and size of an event, one byte each.

    An event is a time in µs, uint32, and a word with x in bits 0 to 13, y in 14 to 27 and the
    polarity above, little-endian.

    Source: Prophesee, *DAT file format*, docs.prophesee.ai.
    """
    kind = "Prophesee DAT"
    content = path.read_bytes()
    lines, start = header_lines(content, b"%")
    if not lines:
        raise foreign(path, kind, content[:8])
    version = _said(lines, r"version (\d+)")
    if version != 2:
        raise foreign(path, kind, f"Version {version}")
    if start + 2 > len(content):
        raise cut_short(path, kind)
    what, size = content[start], content[start + 1]
    if what not in _CHANGES or size != 8:
        raise foreign(path, kind, f"type {what:#x}, {size} bytes")
    pairs = records(path, kind, content[start + 2 :], (np.dtype("<u4"), 2)).astype(np.int64)
    time, word = pairs.T
    return RawEvents(word & 0x3FFF, word >> 14 & 0x3FFF, time, word >> 28, _size(lines))


def read_raw(path: Path) -> RawEvents:
    """Read RAW: EVT 2 here, EVT 3 with the package `evt3`.

    In EVT 2 the upper four bits of a word, uint32, say what it is: 0 or 1 a darker or brighter
    change with the lowest 6 bits of its time in bits 22 to 27, x in 11 to 21 and y in 0 to 10; 8
    the upper 28 bits of the times that follow.

    Source: Prophesee, *EVT 2.0 format* and *EVT 3.0 format*, docs.prophesee.ai.
    """
    kind = "Prophesee RAW"
    with path.open("rb") as file:
        lines, start = header_lines(file.read(2**16), b"%")
    if not lines:
        raise foreign(path, kind, path.read_bytes()[:8])
    version = next((line for line in lines if re.match(r"(evt|format)\b", line)), "")
    if re.search(r"evt ?3", version, re.IGNORECASE):
        return _read_evt3(path, lines, start)
    if not re.search(r"evt ?2(\.0)?\b", version, re.IGNORECASE):
        raise foreign(path, kind, version or lines[0])
    words = records(path, kind, path.read_bytes()[start:], "<u4").astype(np.int64)
    what = words >> 28
    high = np.where(what == 8, words & 0xFFFFFFF, -1)
    # The last upper part of the time at each word; none before the first.
    last = np.maximum.accumulate(np.where(high >= 0, np.arange(len(words)), -1))
    seen = (what <= 1) & (last >= 0)
    words, time = words[seen], high[last[seen]]
    x, y = words >> 11 & 0x7FF, words & 0x7FF
    return RawEvents(x, y, time << 6 | words >> 22 & 0x3F, words >> 28, _size(lines))


def _read_evt3(path: Path, lines: Sequence[str], start: int) -> RawEvents:
    evt3 = optional_import("evt3", t("data.for_events"), extra="events")
    if (path.stat().st_size - start) % 2:
        raise cut_short(path, "EVT 3")
    try:
        found = evt3.decode_file(str(path))
    except (ValueError, OSError, RuntimeError) as error:
        raise UnreadableFileError(path, "EVT 3", error) from error
    x, y, time = (np.asarray(column).astype(np.int64) for column in (found.x, found.y, found.t))
    return RawEvents(x, y, time, np.asarray(found.p), _size(lines))


def _size(lines: Sequence[str]) -> tuple[int, int] | None:
    """Return the height and width that a header tells."""
    for line in lines:
        if found := re.match(r"geometry (\d+)x(\d+)", line):
            return int(found[2]), int(found[1])
        if found := re.match(r"format .*height=(\d+);width=(\d+)", line):
            return int(found[1]), int(found[2])
    rows, columns = _said(lines, r"height (\d+)"), _said(lines, r"width (\d+)")
    return (rows, columns) if rows and columns else None


def _said(lines: Sequence[str], pattern: str) -> int | None:
    for line in lines:
        if found := re.match(pattern, line, re.IGNORECASE):
            return int(found[1])
    return None
