"""Plain text in columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def padded(text: str, columns: int, *, right: bool = False) -> str:
    """Return a text filled with spaces, behind it or (`right`) before it."""
    spaces = " " * (columns - width(text))
    return spaces + text if right else text + spaces


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes: two for each letter of Chinese."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) != 0 for letter in text)


def table(rows: Sequence[Sequence[str]], *, names: int = 1) -> list[str]:
    """Return lines of aligned cells: the first `names` columns to the left, others to the right.

    Example:
        >>> table([("layer", "MACs"), ("fc", "12")])
        ['layer  MACs', 'fc       12']
    """
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            padded(cell, size, right=place >= names)
            for place, (cell, size) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
