"""Compile a CPU kernel, and keep it on disk where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile the decorated function with Numba, without the interpreter's lock.

    The machine code is kept beside the source or, where that cannot be written, in the user's
    cache. Where neither can, as in a container of read-only files without a home, it is compiled
    anew in every process.

    Args:
        **options: Those of `numba.njit`.

    Example:
        >>> compiled()(lambda x: x + 1)(2)
        3
    """

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return njit(nogil=True, cache=True, **options)(function)
        except RuntimeError as error:
            if "no locator" not in str(error):
                raise
            return njit(nogil=True, **options)(function)

    return decorate
