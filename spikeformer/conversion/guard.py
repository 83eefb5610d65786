"""What a converted network hands out of its original: nothing that would run it without spikes."""

from __future__ import annotations

import copy
import functools
import inspect
import threading
from collections.abc import Generator
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from spikeformer.conversion.tracing.interception import PRODUCTS
from spikeformer.error_handling import ConversionError
from spikeformer.instrument import Function, FunctionStream, PassWatcher, module_paths


class UnspikingError(ConversionError, AttributeError):
    """A property of the original would run it; `hasattr` says no."""


def hand_out(converted: nn.Module, original: nn.Module, name: str) -> Any:
    """Return an attribute of the original of a converted network.

    What is called later refuses to run the original: its methods, functions that it holds,
    and its modules, which come as views that share parameters and refuse to be called.

    Args:
        converted: The converted network, whose own passes are left alone.
        original: The original.
        name: Name of the attribute.

    Raises:
        UnspikingError: A property would run the original.
    """
    if name.startswith("__") and name.endswith("__"):
        # `copy`, `pickle` and their like would take the original for the whole.
        raise AttributeError(f"{type(converted).__name__!r} object has no attribute {name!r}")
    static = inspect.getattr_static(original, name, None)
    if isinstance(static, property | functools.cached_property):
        # Not by `getattr`: `nn.Module` hides what an AttributeError in a property says.
        with _Guard(name, converted, original, UnspikingError):
            value = static.__get__(original, type(original))
    else:
        value = getattr(original, name)
    return _guarded(value, name, converted, original)


def _guarded(value: Any, name: str, converted: nn.Module, original: nn.Module) -> Any:
    if isinstance(value, nn.Module):
        return value if value is converted else _view(value, name)
    if not callable(value) or isinstance(value, type):
        return value

    @functools.wraps(value)
    def call(*args: Any, **kwargs: Any) -> Any:
        with _Guard(name, converted, original):
            result = value(*args, **kwargs)
        if inspect.isgenerator(result):
            return _steps(result, _Guard(name, converted, original))
        return _guarded(result, name, converted, original)

    return call


def _steps(generator: Generator[Any, Any, Any], guard: _Guard) -> Generator[Any, Any, Any]:
    sent = None
    while True:
        with guard:
            try:
                value = generator.send(sent)
            except StopIteration as end:
                return end.value
        sent = yield value


def _view(module: nn.Module, name: str) -> nn.Module:
    """Return a module with the same parameters that refuses to run."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise _refusal(name, ConversionError)

    seen: dict[int, nn.Module] = {}

    def view(part: nn.Module) -> nn.Module:
        if id(part) not in seen:
            seen[id(part)] = shown = copy.copy(part)
            shown.__dict__["forward"] = refuse
            shown.__dict__["_modules"] = {
                key: None if child is None else view(child) for key, child in part._modules.items()
            }
        return seen[id(part)]

    return view(module)


def _refusal(name: str, kind: type[ConversionError]) -> ConversionError:
    return kind(
        f"`{name}` runs the original network, without spikes. Call the converted "
        f"network itself, or `original.{name}` if that is what you want."
    )


class _Guard(PassWatcher[None]):
    """Refuses what runs modules or multiplies with weights of an original inside its block.

    Passes of the converted network itself, and other threads, are left alone.

    Args:
        name: The attribute that is at work.
        converted: The converted network.
        original: Its original.
        kind: Class of the error.
    """

    def __init__(
        self,
        name: str,
        converted: nn.Module,
        original: nn.Module,
        kind: type[ConversionError] = ConversionError,
    ) -> None:
        super().__init__()
        self.name, self.converted, self.kind = name, converted, kind
        self.modules = module_paths(original)
        tensors = [*original.parameters(), *original.buffers()]
        self.weights = {_storage(tensor) for tensor in tensors}
        self.stream = FunctionStream(self._run)

    def __enter__(self) -> _Guard:
        self.thread = threading.get_ident()
        super().__enter__()
        self.stream.__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *exception: Any) -> None:
        self.stream.__exit__(*exception)  # type: ignore[no-untyped-call]
        super().__exit__(*exception)

    def begin(self, network: nn.Module) -> bool:
        """Follow a pass of the converted network; refuse one of the original in this thread.

        Raises:
            ConversionError: It runs the original network.
        """
        if threading.get_ident() != self.thread:
            return False
        if id(network) in self.modules:
            raise _refusal(self.name, self.kind)
        return network is self.converted

    def enter(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """Note nothing of what the converted network runs."""

    def _run(self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if function in PRODUCTS and not self.frames:
            leaves = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
            own = [_storage(leaf) in self.weights for leaf in leaves]
            if any(own) and not all(own):
                raise _refusal(self.name, self.kind)
        return function(*args, **kwargs)


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
