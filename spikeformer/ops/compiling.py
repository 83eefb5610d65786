"""Compile a CPU kernel, and keep it on disk where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit


def compiled(*, arrays: bool = False, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile the decorated function with Numba, without the interpreter's lock.

    The machine code is kept beside the source or, where that cannot be written, in the user's
    cache, until a source file of this package changes: a kernel contains what it calls. Where
    neither can, as in a container of read-only files without a home, it is compiled anew in every
    process.

    Args:
        arrays: Let the kernel make arrays of NumPy's, which are counted. Otherwise threads count
            nothing together, and what a kernel needs comes from `scratch`.
        **options: Those of `numba.njit`.

    Example:
        >>> compiled()(lambda x: x + 1)(2)
        3
    """
    options |= {"nogil": True, "_nrt": arrays}

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            kernel = njit(cache=True, **options)(function)
            index = kernel._cache._cache_file  # follows the function's own file alone
            index._source_stamp = (index._source_stamp, sources(Path(__file__).parent))
            return kernel
        except RuntimeError as error:
            if "no locator" not in str(error):
                raise
            return njit(**options)(function)

    return decorate


@cache
def sources(folder: Path) -> tuple[int, int]:
    """Return the time of the last change, in nanoseconds, and the bytes of a folder's modules."""
    found = [path.stat() for path in folder.rglob("*.py")]
    return max(file.st_mtime_ns for file in found), sum(file.st_size for file in found)
