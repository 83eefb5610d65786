"""Knows which module of a network is running, and which of its operations comes next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import nn

from spikeformer.i18n import t

_PLAIN = ("linear", "conv1d", "conv2d", "conv3d")
_current: ContextVar[Trail | None] = ContextVar("trail", default=None)


class Trail:
    """The path through a network's modules during one forward pass.

    Args:
        types: Type of each module by its path.
    """

    def __init__(self, types: Mapping[str, str]) -> None:
        self.types = types
        self.restart()

    def restart(self) -> None:
        """Begin a new pass."""
        self._frames: list[tuple[str, Counter[str]]] = [("", Counter())]
        self._passes: Counter[str] = Counter()

    @property
    def path(self) -> str:
        """Path of the module that runs; after an error, of the one in which it happened."""
        return self._frames[-1][0]

    @property
    def here(self) -> str:
        """Path and type of the module that runs, for messages."""
        return describe(self.path, self.types)

    def next_operation(self, function: str) -> tuple[str, int]:
        """Name the operation that comes now, and count how often it has come in this pass."""
        path, counter = self._frames[-1]
        number = counter[function]
        counter[function] += 1
        whole = path and function in _PLAIN and not number
        name = path if whole else f"{path}:{function}{number or ''}"
        passes = self._passes[name]
        self._passes[name] += 1
        return name, passes

    @contextmanager
    def follow(self) -> Iterator[None]:
        """Follow the pass that runs inside the context, in this thread alone."""
        self.restart()
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


def describe(path: str, types: Mapping[str, str]) -> str:
    """Path and type of a module, for messages."""
    if path:
        return f"`{path}` ({types.get(path, 'unknown')})"
    return t("conversion.whole_network", network=types.get("", "network"))


def mark(network: nn.Module) -> None:
    """Let the modules of a network tell the trail of a pass when they begin and end."""
    for path, module in network.named_modules():
        if path:
            module.register_forward_pre_hook(_Enter(path))
            module.register_forward_hook(_Leave())


def module_types(network: nn.Module) -> dict[str, str]:
    """Return the type of each module by its path."""
    return {path: type(module).__name__ for path, module in network.named_modules()}


class _Enter:
    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, module: nn.Module, inputs: Any) -> None:
        if (trail := _current.get()) is not None:
            trail._frames.append((self.path, Counter()))


class _Leave:
    def __call__(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        if (trail := _current.get()) is not None:
            trail._frames.pop()
