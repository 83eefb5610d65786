"""Keep what was decoded, under a key made of the encoded files and of how they are decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from spikeformer.caching import TensorCache, content_key
from spikeformer.data.decode import CHUNK, read_bytes


def through_cache(
    cache: TensorCache | None,
    cells: Any,
    column: str,
    roots: Sequence[Path],
    how: Any,
    decode: Callable[[], Tensor],
) -> Tensor:
    """Return what `decode` returns, from the cache if it is there.

    Args:
        cache: The cache; None decodes.
        cells: A table with the encoded files in `column`.
        column: Name of the column.
        roots: Folders in which files lie that the cells name.
        how: Everything else that the result depends on, for `content_key`.
        decode: Decodes all cells.
    """
    if cache is None:
        return decode()
    try:
        content = _content(cells, column, roots)
    except (OSError, TypeError, KeyError, ValueError):
        return decode()  # which says what is wrong with which sample
    return cache.tensor_or_compute(content_key(content, how), decode)


def _content(cells: Any, column: str, roots: Sequence[Path]) -> bytes:
    """Return the hash of all encoded files, in order."""
    hasher = hashlib.sha256()
    for start in range(0, len(cells), CHUNK):
        for cell in cells[start : start + CHUNK][column]:
            content = read_bytes(cell, roots)
            hasher.update(len(content).to_bytes(8, "big"))
            hasher.update(content)
    return hasher.digest()
