"""Writes down every operation of a network that depends on its input, as functions of a host."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware.ir.functions import FUNCTIONS, MOVES
from spikeformer.hardware.ir.graph import Array
from spikeformer.hardware.ir.runtime import HostOperation
from spikeformer.i18n import t

_LEFT_OUT = frozenset(
    ["device", "layout", "memory_format", "pin_memory", "non_blocking", "requires_grad"]
)
"""Keywords that say where a result lies, not what it is."""

_KINDS = {"f": "float", "i": "int", "b": "bool"}


class Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watches what torch computes, tensor by tensor.

    What depends on no input is a constant. A tensor that does has the name of the function that
    made it, or of what `name` says it is.

    Args:
        path: Returns the path of the module that is running.

    Attributes:
        functions: By the name of their value, in order; their depths are not known yet.
        constants: Arrays that functions take, by name.
        order: All names but those of constants, in the order in which they were given.
    """

    def __init__(self, path: Callable[[], str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._path = path
        self.functions: dict[str, HostOperation] = {}
        self.constants: dict[str, Array] = {}
        self.order: list[str] = []
        # Tensors stay alive, so that no other gets their id.
        self._names: dict[int, tuple[str, Tensor]] = {}
        self._constants: dict[int, tuple[str, Tensor]] = {}
        self._used: dict[str, int] = {}
        self._real: set[str] = set()
        self._paused = False

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Write nothing down inside."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    def name(self, tensor: Tensor, name: str) -> str:
        """Call a tensor by a name, numbered if it is taken; return it."""
        count = self._used[name] = self._used.get(name, 0) + 1
        free = name if count == 1 else f"{name}_{count}"
        self._names[id(tensor)] = free, tensor
        self.order.append(free)
        if tensor.is_floating_point():
            self._real.add(free)
        return free

    def name_of(self, tensor: Tensor) -> str | None:
        """Return what a tensor is called, None if it depends on no input."""
        found = self._names.get(id(tensor))
        return None if found is None else found[0]

    def value(self, tensor: Tensor) -> str:
        """Return the name of a value, or of the constant that a tensor becomes by this."""
        return self.name_of(tensor) or self.constant(tensor)

    def constant(self, tensor: Tensor) -> str:
        """Return the name of the constant that a tensor is."""
        found = self._constants.get(id(tensor))
        if found is None:
            found = f"constant_{len(self.constants)}", tensor
            self._constants[id(tensor)] = found
            self.constants[found[0]] = _array(tensor)
        return found[0]

    def origin(self, name: str) -> tuple[str, list[HostOperation]]:
        """Return what a value is moved elements of, and the moves in order."""
        moves: list[HostOperation] = []
        while (made := self.functions.get(name)) is not None and made.function in MOVES:
            moves.insert(0, made)
            (name,) = made.values
        return name, moves

    def refuse(self, reason: str) -> HardwareCompatibilityError:
        """Return the error for the module that is running."""
        layer = self._path() or t("hardware.the_network")
        return HardwareCompatibilityError(t("hardware.layer_refused", layer=layer, reason=reason))

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation, and write it down if it depends on an input."""
        settings = dict(kwargs or {})
        result = func(*args, **settings)
        if self._paused:
            return result
        given = [x for x in _tensors((args, settings)) if id(x) in self._names]
        if func._schema.is_mutable:
            written = _tensors(args[:1])
            for tensor in written:
                self._constants.pop(id(tensor), None)
            if given:
                raise self.refuse(t("hardware.writes_in_place", function=func.__name__))
        elif given:
            self._write(func.overloadpacket.__name__, args, settings, result)
        return result

    def _write(
        self, function: str, args: tuple[Any, ...], settings: dict[str, Any], result: Any
    ) -> None:
        if function in ("split", "split_with_sizes", "unbind"):
            self._parts(args, settings, result, select=function == "unbind")
            return
        if function == "_local_scalar_dense" and self.name_of(args[0]) not in self._real:
            return  # whether a sentence is padded, say: `lower_converted` shows one that is
        if function not in FUNCTIONS:
            raise self.refuse(t("hardware.host_does_not", function=function))
        if function.startswith("bitwise_") and any(x.dtype != torch.bool for x in _tensors(args)):
            raise self.refuse(t("hardware.host_does_not", function=f"{function} of integers"))
        if function == "convolution" and (args[6] or args[8] != 1 or set(args[5]) != {1}):
            raise self.refuse(t("hardware.host_convolution"))
        dtype = settings.pop("dtype", None)
        if function == "_to_copy" and dtype is not None:
            settings["dtype"] = _kind(dtype)
        kept = {key: self._plain(value) for key, value in settings.items() if key not in _LEFT_OUT}
        # Of several results the first is the one that anybody reads; another one has no name.
        self._add(function, tuple(map(self._plain, args)), kept, _first(result))

    def write(self, function: str, args: tuple[Any, ...], result: Tensor) -> None:
        """Write down a function of the host's that torch does not have."""
        self._add(function, tuple(map(self._plain, args)), {}, result)

    def _parts(
        self, args: tuple[Any, ...], settings: dict[str, Any], result: Any, *, select: bool
    ) -> None:
        """Write down each part of a tensor by itself."""
        x, place = args[0], 1 if select else 2
        dim = args[place] if len(args) > place else settings.get("dim", 0)
        start = 0
        arguments: tuple[Any, ...]
        for index, part in enumerate(result):
            if select:
                arguments = (self._plain(x), dim, index)
            else:
                arguments = (self._plain(x), dim, start, start := start + part.shape[dim])
            self._add("select" if select else "slice", arguments, {}, part)

    def _add(
        self, function: str, arguments: tuple[Any, ...], settings: dict[str, Any], result: Tensor
    ) -> None:
        path = self._path()
        name = self.name(result, f"{path}:{function}")
        shape = tuple(result.shape)
        made = HostOperation(name, function, arguments, settings, shape, path)
        if self._real.intersection(made.values):
            self._real.add(name)  # a truth about a real number counts as one
        self.functions[name] = made

    def _plain(self, node: Any) -> Any:
        if isinstance(node, Tensor):
            return {"value": self.value(node)}
        if isinstance(node, list | tuple):
            return [self._plain(child) for child in node]
        if isinstance(node, float) and not np.isfinite(node):
            return {"number": str(node)}
        if isinstance(node, torch.dtype):
            return _kind(node)
        if node is None or isinstance(node, bool | int | float | str):
            return node
        raise self.refuse(t("hardware.host_does_not", function=type(node).__name__))


def _tensors(node: Any) -> list[Tensor]:
    if isinstance(node, Tensor):
        return [node]
    if isinstance(node, Mapping):
        node = list(node.values())
    if isinstance(node, list | tuple):
        return [tensor for child in node for tensor in _tensors(child)]
    return []


def _first(result: Any) -> Tensor:
    first: Tensor = result[0] if isinstance(result, tuple | list) else result
    return first


def _kind(dtype: torch.dtype) -> str:
    return _KINDS["f" if dtype.is_floating_point else "b" if dtype == torch.bool else "i"]


def _array(tensor: Tensor) -> Array:
    array: Array = tensor.detach().cpu().numpy()
    kind = {"f": np.float64, "i": np.int64, "u": np.int64, "b": np.int64}[array.dtype.kind]
    # Infinities, as masks hold them, do what the largest number does, and files can hold it.
    largest = np.finfo(np.float64).max
    return np.nan_to_num(array.astype(kind), nan=np.nan, posinf=largest, neginf=-largest)
