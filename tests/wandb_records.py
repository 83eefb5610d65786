"""Read back what W&B wrote offline: a LevelDB-like log of protobuf records."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2 as protocol

BLOCK = 32768
HEADER = struct.Struct("<IHB")  # checksum, length, kind: 1 whole, 2 first, 3 middle, 4 last
PREAMBLE = 7
PATIENCE = 30.0
"""Seconds until the last record has to be there."""


def _payloads(content: bytes) -> Iterator[bytes]:
    assert content[:4] == b":W&B"
    position, pending = PREAMBLE, b""
    while position + HEADER.size <= len(content):
        left = BLOCK - position % BLOCK
        if left < HEADER.size:
            position += left
            continue
        _, length, kind = HEADER.unpack_from(content, position)
        start = position + HEADER.size
        pending += content[start : start + length]
        position = start + length
        if kind in (1, 4):
            yield pending
            pending = b""


def read_offline_run(folder: Path) -> dict[str, Any]:
    """Return the configuration, the history rows and the record kinds of an offline run."""
    (file,) = folder.glob("**/run-*.wandb")
    deadline = time.monotonic() + PATIENCE
    while "exit" not in (found := _records(file))["kinds"] and time.monotonic() < deadline:
        time.sleep(0.1)  # W&B's own process may still be writing when the run has ended
    return found


def _records(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"config": {}, "history": [], "kinds": set()}
    for payload in _payloads(file.read_bytes()):
        record = protocol.Record()
        record.ParseFromString(payload)
        kind = record.WhichOneof("record_type")
        found["kinds"].add(kind)
        if kind == "history":
            row = {
                item.key or "/".join(item.nested_key): json.loads(item.value_json)
                for item in record.history.item
            }
            found["history"].append(row)
        elif kind in ("run", "config"):
            update = record.run.config.update if kind == "run" else record.config.update
            for item in update:
                key = item.key or "/".join(item.nested_key)
                found["config"][key] = json.loads(item.value_json)
    return found
