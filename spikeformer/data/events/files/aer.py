"""Address events: ATIS recordings in five bytes, and AEDAT 2, 3.1 and 4."""

from __future__ import annotations

import re
import struct
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

ATIS_ROWS = 240
"""Rows of the ATIS sensor; a row of this number says that the time ran over."""
_OVERFLOW_US = 2**13
_DVS128 = (128, 128)
_DAVIS = {"240": (180, 240), "346": (260, 346), "640": (480, 640)}
_POLARITY_EVENT = 1
_PACKET = struct.Struct("<hhiiiiii")


def read_bin(path: Path) -> RawEvents:
    """Read ATIS events of five bytes, as N-MNIST and N-Caltech101 have them.

    Byte 0 is x, byte 1 y, then one bit of polarity and 23 bits of time in µs, the highest first. An
    event in row 240 is none, but adds 2^13 µs to all that follow.

    Source: Orchard et al., 2015, doi:10.3389/fnins.2015.00437.
    """
    kind = "ATIS"
    content = records(path, kind, path.read_bytes(), (np.uint8, 5)).astype(np.int64)
    x, y, high, middle, low = content.T
    if (y > ATIS_ROWS).any():
        raise foreign(path, kind, f"y={int(y.max())}")
    over = y == ATIS_ROWS
    time = ((high & 127) << 16 | middle << 8 | low) + _OVERFLOW_US * np.cumsum(over)
    kept = ~over
    return RawEvents(x[kept], y[kept], time[kept], (high >> 7)[kept])


def read_aedat(path: Path) -> RawEvents:
    """Read AEDAT 2, 3.1 or 4, by what the first line says."""
    with path.open("rb") as file:
        first = file.readline(32)
    if first.startswith(b"#!AER-DAT2"):
        return _read_aedat2(path)
    if first.startswith(b"#!AER-DAT3"):
        return _read_aedat3(path)
    if first.startswith(b"#!AER-DAT4"):
        return _read_aedat4(path)
    raise foreign(path, "AEDAT", first[:16])


def _read_aedat2(path: Path) -> RawEvents:
    """Read pairs of an address and a time, big-endian int32.

    A DAVIS has y in bits 22 to 30, x in 12 to 21 and the polarity in bit 11, of addresses without
    bit 31; a DVS128 y in bits 8 to 14, x in 1 to 7 and the polarity, inverted, in bit 0. The header
    tells the chip; without it addresses below 2^15 are those of a DVS128.
    """
    kind = "AEDAT 2"
    content = path.read_bytes()
    lines, start = header_lines(content, b"#")
    pairs = records(path, kind, content[start:], (np.dtype(">u4"), 2)).astype(np.int64)
    address, time = pairs[:, 0], pairs[:, 1]
    chip = next((line for line in lines if line.startswith("AEChip:")), "").lower()
    if "dvs128" in chip or (not chip and (address < 2**15).all()):
        x, y = address >> 1 & 0x7F, address >> 8 & 0x7F
        return RawEvents(x, y, time, 1 - (address & 1), _DVS128)
    if chip and "davis" not in chip:
        raise foreign(path, kind, chip)
    found = re.search(r"davis\w*?(240|346|640)", chip)
    seen = address >> 31 == 0  # other addresses are images and accelerations
    address, time = address[seen], time[seen]
    x, y, p = address >> 12 & 0x3FF, address >> 22 & 0x1FF, address >> 11 & 1
    return RawEvents(x, y, time, p, _DAVIS[found[1]] if found else None)


def _read_aedat3(path: Path) -> RawEvents:
    """Read packets of polarity events; packets of other kinds are passed over.

    A packet has 28 bytes of header, little-endian: type and source, int16; size of an event, offset
    of its time, overflows of the time, capacity, number and valid ones, int32. An event has x in
    bits 17 to 31, y in 2 to 16, polarity in bit 1 and validity in bit 0, then its time in µs.
    """
    kind = "AEDAT 3.1"
    content = path.read_bytes()
    mark = b"#!END-HEADER\r\n"
    place = content.find(mark)
    if place < 0:
        raise cut_short(path, kind)
    place += len(mark)
    words, times = [], []
    while place < len(content):
        if place + _PACKET.size > len(content):
            raise cut_short(path, kind)
        what, _, size, _, overflow, _, number, _ = _PACKET.unpack_from(content, place)
        place += _PACKET.size
        if size < 0 or number < 0:
            raise foreign(path, kind, f"{number} x {size}")
        end = place + size * number
        if end > len(content):
            raise cut_short(path, kind)
        if what == _POLARITY_EVENT:
            pairs = records(path, kind, content[place:end], (np.dtype("<u4"), 2)).astype(np.int64)
            words.append(pairs[:, 0])
            times.append(pairs[:, 1] + (overflow << 31))
        place = end
    word = np.concatenate([np.zeros(0, np.int64), *words])
    time = np.concatenate([np.zeros(0, np.int64), *times])
    valid = word & 1 == 1
    word, time = word[valid], time[valid]
    return RawEvents(word >> 17 & 0x7FFF, word >> 2 & 0x7FFF, time, word >> 1 & 1)


def _read_aedat4(path: Path) -> RawEvents:
    """Read AEDAT 4 with the package `aedat`; of several streams of events the first counts."""
    aedat = optional_import("aedat", t("data.for_events"), extra="events")
    try:
        decoder = aedat.Decoder(str(path))
        streams = decoder.id_to_stream()
        chosen = next((i for i, s in sorted(streams.items()) if s["type"] == "events"), None)
        if chosen is None:
            raise foreign(path, "AEDAT 4", ", ".join(s["type"] for s in streams.values()))
        packets = [packet["events"] for packet in decoder if packet["stream_id"] == chosen]
    except UnreadableFileError:
        raise
    except BaseException as error:
        # Of damaged files the package raises what is no Exception.
        if isinstance(error, (KeyboardInterrupt, SystemExit, MemoryError)):
            raise
        raise UnreadableFileError(path, "AEDAT 4", error) from error
    size = streams[chosen]["height"], streams[chosen]["width"]
    columns = {
        name: np.concatenate([np.zeros(0, np.int64), *(p[name].astype(np.int64) for p in packets)])
        for name in ("x", "y", "t", "on")
    }
    return RawEvents(columns["x"], columns["y"], columns["t"], columns["on"], size)
