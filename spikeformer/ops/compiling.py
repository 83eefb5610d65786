"""Compile a CPU kernel, and keep it on disk where that is possible."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FunctionType
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
            code = hashlib.sha256(function.__code__.co_code).hexdigest()
            own = (code, variant(function))
            kernel._cache._index_key = lambda sig, codegen: (sig, codegen.magic_tuple(), own)
            return kernel
        except RuntimeError as error:
            if "no locator" not in str(error):
                raise
            return njit(**options)(function)

    return decorate


def variant(value: Any) -> Any:
    """Return what tells a function from those with the same source, alike in all processes.

    Numba asks for the pickle of what a closure holds, in which every intrinsic has a number of its
    process, so that no other process would find the kernel.

    Raises:
        TypeError: A closure holds something that is told by its address only.
    """
    if isinstance(value, tuple):
        return tuple(map(variant, value))
    function = getattr(value, "_defn", getattr(value, "py_func", value))
    if isinstance(function, FunctionType):
        held = [cell.cell_contents for cell in function.__closure__ or ()]
        return function.__module__, function.__qualname__, *map(variant, held)
    if " at 0x" in repr(value):
        raise TypeError(f"a kernel cannot be kept whose closure holds {value!r}")
    return repr(value)


@cache
def sources(folder: Path) -> tuple[int, int]:
    """Return the time of the last change, in nanoseconds, and the bytes of a folder's modules."""
    found = [path.stat() for path in folder.rglob("*.py")]
    return max(file.st_mtime_ns for file in found), sum(file.st_size for file in found)
