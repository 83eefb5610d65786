"""Writers of event files, by the published descriptions of the formats."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from spikeformer.data.events import Recordings


def write_bin(path: Path, one: Recordings, overflows: tuple[int, ...] = ()) -> None:
    """ATIS: five bytes an event; before the events of `overflows` the time runs over."""
    content, late = b"", 0
    for number, (x, y, t, p) in enumerate(zip(one.x, one.y, one.t, one.p, strict=True)):
        if number in overflows:
            content += bytes([0, 240, 0, 0, 0])
            late += 2**13
        word = int(t) - late | int(p) << 23
        content += bytes([int(x), int(y), word >> 16, word >> 8 & 255, word & 255])
    path.write_bytes(content)


def write_dat(path: Path, one: Recordings, version: int = 2, size: str = "") -> None:
    """Prophesee DAT, version 2."""
    header = f"% Data file containing CD events.\n% Version {version}\n{size}".encode()
    word = one.x.astype("<u4") | one.y.astype("<u4") << 14 | one.p.astype("<u4") << 28
    pairs = np.stack([one.t.astype("<u4"), word], axis=1)
    path.write_bytes(header + bytes([0x0C, 8]) + pairs.astype("<u4").tobytes())


def write_evt2(path: Path, one: Recordings) -> None:
    """Prophesee RAW, EVT 2: the upper part of the time wherever it changes."""
    words, high = [], None
    for x, y, t, p in zip(one.x, one.y, one.t, one.p, strict=True):
        if int(t) >> 6 != high:
            high = int(t) >> 6
            words.append(8 << 28 | high)
        words.append(int(p) << 28 | (int(t) & 63) << 22 | int(x) << 11 | int(y))
        words.append(0xA << 28)  # a trigger, to be passed over
    header = f"% evt 2.0\n% geometry {one.width}x{one.height}\n% end\n".encode()
    path.write_bytes(header + np.array(words, "<u4").tobytes())


def write_evt3(path: Path, one: Recordings) -> None:
    """Prophesee RAW, EVT 3, one word for each part."""
    words = []
    for x, y, t, p in zip(one.x, one.y, one.t, one.p, strict=True):
        words += [8 << 12 | int(t) >> 12, 6 << 12 | int(t) & 0xFFF]
        words += [int(y), 2 << 12 | int(p) << 11 | int(x)]
    header = f"% evt 3.0\n% format EVT3;height={one.height};width={one.width}\n% end\n".encode()
    path.write_bytes(header + np.array(words, "<u2").tobytes())


def write_aedat2(path: Path, one: Recordings, chip: str) -> None:
    """AEDAT 2 of a DVS128, or of a DAVIS with an image sample between any two events."""
    x, y, p = (column.astype(np.int64) for column in (one.x, one.y, one.p))
    davis = "DVS128" not in chip
    address = y << 22 | x << 12 | p << 11 if davis else y << 8 | x << 1 | 1 - p
    pairs = np.stack([address, one.t], axis=1)
    if davis:
        pairs = np.repeat(pairs, 2, axis=0)
        pairs[1::2, 0] = 1 << 31 | 12345
    header = b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n"
    header += f"# AEChip: eu.seebetter.{chip}\r\n".encode() if chip else b""
    path.write_bytes(header + pairs.astype(">u4").tobytes())


def write_aedat3(path: Path, one: Recordings, packet: int = 7, overflow: int = 0) -> None:
    """AEDAT 3.1 in packets, with a packet of another kind and invalid events between."""
    content = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#!END-HEADER\r\n"
    word = one.x.astype("<u4") << 17 | one.y.astype("<u4") << 2 | one.p.astype("<u4") << 1 | 1
    for first in range(0, len(one.t), packet):
        part = slice(first, first + packet)
        pairs = np.stack([word[part], one.t[part].astype("<u4")], axis=1).astype("<u4")
        pairs = np.concatenate([pairs, [[2, 0]]]).astype("<u4")  # one that is not valid
        size = len(pairs)
        content += struct.pack("<hhiiiiii", 1, 1, 8, 4, overflow, size, size, size - 1)
        content += pairs.tobytes()
        content += struct.pack("<hhiiiiii", 0, 1, 8, 4, 0, 1, 1, 1) + bytes(8)
    path.write_bytes(content)


def write_npz(path: Path, one: Recordings) -> None:
    """One array for each column."""
    np.savez(path, t=one.t, x=one.x, y=one.y, p=one.p)


def write_npy(path: Path, one: Recordings) -> None:
    """An array of records."""
    records = np.zeros(len(one.t), [("x", "i2"), ("y", "i2"), ("timestamp", "i8"), ("on", "?")])
    records["x"], records["y"], records["timestamp"], records["on"] = one.x, one.y, one.t, one.p
    np.save(path, records)


def write_csv(path: Path, one: Recordings) -> None:
    """A table under the names of its columns."""
    rows = zip(one.t, one.x, one.y, one.p.astype(int), strict=True)
    lines = ["time, x, y, polarity", *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


WRITERS = {
    ".bin": write_bin,
    ".dat": write_dat,
    ".raw": write_evt2,
    ".aedat": write_aedat3,
    ".npz": write_npz,
    ".npy": write_npy,
    ".csv": write_csv,
}
