"""Hooks on the modules of one network, and the settings that keep modules visible."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import Any, Self

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

Observe = Callable[[str, Any, tuple[Any, ...], dict[str, Any], Any], None]
"""What hears of a call: path of the module, the module, its arguments, and what it returned."""


class Switch:
    """A setting of the whole process that holds as long as anybody is inside.

    The first to enter sets it, the last to leave restores it, in whatever order and from whatever
    thread they do.

    Args:
        set_: Sets it, and returns what restores it.
    """

    def __init__(self, set_: Callable[[], Callable[[], None]]) -> None:
        self._set, self._lock = set_, threading.Lock()
        self._holders = 0
        self._restore: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        with self._lock:
            if not self._holders:
                self._restore = self._set()
            self._holders += 1
        return self

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._holders -= 1
            if not self._holders:
                self._restore()


def _without_fast_paths() -> Callable[[], None]:
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    return lambda: torch.backends.mha.set_fastpath_enabled(before)


def _uncompiled() -> Callable[[], None]:
    stance = torch.compiler.set_stance("force_eager")
    return lambda: stance.__exit__(None, None, None)


unfused = Switch(_without_fast_paths)
"""Inside, torch's encoder layers run operation by operation instead of as one fused kernel."""

eager = Switch(_uncompiled)
"""Inside, compiled networks run uncompiled: a graph that is made already calls no new hooks."""


def module_paths(network: nn.Module) -> dict[int, str]:
    """Return the path of every module of a network by the module's identity."""
    return {id(module): path for path, module in network.named_modules()}


class ModuleWatch:
    """Calls `observe(path, module, args, kwargs, output)` whenever a module of a network has run.

    It watches from when it is made until it is closed, by hand or at the end of a `with` block.
    What a backward pass computes once more is not reported.

    Args:
        network: The network.
        observe: What to call.
        kinds: Classes of the modules to watch.
        paths: Paths of the modules to watch; None is any, "" the network itself.
        uncompiled: Run compiled networks uncompiled meanwhile, wherever they are.

    Example:
        >>> net, seen = nn.Sequential(nn.Linear(2, 3), nn.ReLU()), []
        >>> with ModuleWatch(net, lambda path, *call: seen.append(path), nn.Linear):
        ...     _ = net(torch.rand(1, 2))
        >>> seen
        ['0']
    """

    def __init__(
        self,
        network: nn.Module,
        observe: Observe,
        kinds: type[nn.Module] | tuple[type[nn.Module], ...] = nn.Module,
        *,
        paths: Collection[str] | None = None,
        uncompiled: bool = True,
    ) -> None:
        self._eager = uncompiled
        self._handles: list[RemovableHandle] = []
        if uncompiled:
            eager.__enter__()
        for path, module in network.named_modules():
            if isinstance(module, kinds) and (paths is None or path in paths):
                hook = _hook(path, observe)
                self._handles.append(module.register_forward_hook(hook, with_kwargs=True))

    def close(self) -> None:
        """Stop watching; a second call does nothing."""
        while self._handles:
            self._handles.pop().remove()
        if self._eager:
            self._eager = False
            eager.__exit__()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _hook(path: str, observe: Observe) -> Callable[..., None]:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        if not in_backward():
            observe(path, module, args, kwargs, output)

    return hook


def in_backward() -> bool:
    """Whether a backward pass is running, in which only checkpointing calls modules."""
    running: int = torch._C._current_graph_task_id()
    return running != -1
