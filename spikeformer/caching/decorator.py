"""Remember what a function returned."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from spikeformer.caching.cache import Cache
from spikeformer.caching.keys import content_key
from spikeformer.caching.shared import get_computation_cache
from spikeformer.error_handling import ArgumentError, check_positive

P = ParamSpec("P")
R = TypeVar("R")


def cached(
    ttl: float | None = None,
    *,
    key: Callable[..., Any] | None = None,
    folder: str | Path | None = None,
    cache: Cache | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Keep what a function returns, and return that when it is called with the same content again.

    The key is the function's code and its arguments by content (see `content_key`), however they
    are passed. The function must be deterministic, read no globals that change, and return what
    `pack` accepts.

    Args:
        ttl: For how long to keep a result, in s; None is until others need the place.
        key: Makes the key of the arguments, for those of other types; called as the function is.
        folder: Folder of a cache on disk for this function alone.
        cache: The cache; by default the shared one of `get_computation_cache`.

    Returns:
        A decorator. The function it returns has the attribute `key_for(*args, **kwargs)`.

    Raises:
        ArgumentError: `ttl` is not above 0, or the function is a coroutine or a generator; in a
            call, if an argument or a result is of a type that cannot be kept.

    Example:
        >>> @cached(ttl=3600)
        ... def slow(data):
        ...     print("computing")
        ...     return data.sum()
        >>> import torch
        >>> slow(torch.ones(3)), slow(torch.ones(3))
        computing
        (tensor(3.), tensor(3.))
    """
    if callable(ttl):
        raise ArgumentError("ttl", ttl, "a number of seconds", "Write @cached(), with brackets.")
    if ttl is not None:
        check_positive("ttl", ttl)
    if folder is not None and cache is not None:
        raise ArgumentError("folder", str(folder), "left out where `cache` is given")
    own = cache if folder is None else Cache(folder=folder)

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise ArgumentError("function", function.__qualname__, "neither async nor a generator")
        signature = inspect.signature(function)
        identity = content_key(function)

        def key_for(*args: P.args, **kwargs: P.kwargs) -> str:
            if key is not None:
                return content_key(identity, key(*args, **kwargs))
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            return content_key(identity, bound.arguments)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            store = own or get_computation_cache()
            return store.get_or_compute(
                key_for(*args, **kwargs), lambda: function(*args, **kwargs), ttl=ttl
            )

        cast(Any, call).key_for = key_for
        return call

    return decorate
