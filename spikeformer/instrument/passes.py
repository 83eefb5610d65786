"""Follows forward passes, module by module, in networks that need not be prepared for it."""

from __future__ import annotations

import sys
import threading
from abc import ABC, abstractmethod
from collections import Counter
from typing import Any, Generic, NamedTuple, Self, TypeVar

from torch import nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.utils.hooks import RemovableHandle

from spikeformer.instrument.hooks import in_backward, module_paths

F = TypeVar("F")


class PassWatcher(ABC, Generic[F]):
    """Hears of every module that runs inside its `with` block, from when it starts until it ends.

    A pass begins with a module that no other called; `begin` says whether to follow it. For each
    module of the pass `enter` makes a frame, which lies on `frames` while the module works. Hooks
    are on all modules of the process and leave with the block; passes of other threads, while one
    is followed, and what a backward pass computes once more are left alone.
    """

    def __init__(self) -> None:
        self.frames: list[F] = []
        self._modules: list[nn.Module] = []
        self._thread = 0
        self._handles: list[RemovableHandle] = []

    @abstractmethod
    def begin(self, network: nn.Module) -> bool:
        """Say whether to follow the pass that starts with this module."""

    @abstractmethod
    def enter(self, module: nn.Module, args: tuple[Any, ...]) -> F:
        """Return a frame for a module that starts."""

    def leave(self, frame: F, module: nn.Module, output: Any) -> None:
        """Hear of a module that ends; its output is None if it raised an error."""

    def end(self) -> None:
        """Hear of the end of a pass."""

    def __enter__(self) -> Self:
        self._handles = [
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave, always_call=True),
        ]
        return self

    def __exit__(self, *exception: Any) -> None:
        while self._handles:
            self._handles.pop().remove()
        self.frames.clear()
        self._modules.clear()

    def _enter(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        thread = threading.get_ident()
        if not self._modules:
            if in_backward() or not self.begin(module):
                return
            self._thread = thread
        elif thread != self._thread:
            return
        self.frames.append(self.enter(module, args))
        self._modules.append(module)

    def _leave(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        # What raised in `enter`, and what other threads run, has no frame.
        if not self._modules or self._modules[-1] is not module:
            return
        if threading.get_ident() != self._thread:
            return
        self._modules.pop()
        self.leave(self.frames.pop(), module, output)
        if not self._modules:
            self.end()


class Step(NamedTuple):
    """A module at work: its path, and how often it has called each function so far."""

    path: str
    calls: Counter[str]


class Trail(PassWatcher[Step]):
    """Knows which module of a network is running, and names the operations that it comes to.

    Args:
        network: The network; only passes of this thread are followed.

    Example:
        >>> import torch
        >>> class Twice(nn.Module):
        ...     def forward(self, x):
        ...         names.extend(trail.next_operation("matmul") for _ in range(2))
        ...         return x
        >>> net, names = nn.Sequential(Twice()), []
        >>> with Trail(net) as trail:
        ...     _ = net(torch.rand(1))
        >>> names
        [('0:matmul', 0), ('0:matmul1', 0)]
    """

    WHOLE = ("linear", "conv1d", "conv2d", "conv3d")
    """Functions that are all of a module's work, which is named by its path alone."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def __enter__(self) -> Self:
        self._owner = threading.get_ident()
        self._paths = module_paths(self.network)
        self._outside = Step("", Counter())
        self._turns: Counter[str] = Counter()
        self._failed: str | None = None
        return super().__enter__()

    def begin(self, network: nn.Module) -> bool:
        """Follow the network, called in the thread that entered."""
        return network is self.network and threading.get_ident() == self._owner

    def enter(self, module: nn.Module, args: tuple[Any, ...]) -> Step:
        """Note the module's path; one that is no part of the network belongs to its caller."""
        self._failed = None
        path = self._paths.get(id(module))
        return Step(self.path if path is None else path, Counter())

    def leave(self, frame: Step, module: nn.Module, output: Any) -> None:
        """Remember in which module an error happened."""
        if self._failed is None and output is None and sys.exception() is not None:
            self._failed = frame.path

    @property
    def path(self) -> str:
        """Path of the module that runs; after an error, of the one in which it happened."""
        if self._failed is not None:
            return self._failed
        return self.frames[-1].path if self.frames else ""

    def next_operation(self, function: str) -> tuple[str, int]:
        """Name the operation that comes now, and count how often it has come in this pass."""
        path, calls = self.frames[-1] if self.frames else self._outside
        number = calls[function]
        calls[function] += 1
        whole = path and function in self.WHOLE and not number
        name = path if whole else f"{path}:{function}{number or ''}"
        turn = self._turns[name]
        self._turns[name] += 1
        return name, turn
