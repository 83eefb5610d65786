"""Keys made of what values hold, the same in every process and on every machine."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import struct
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import PurePath
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    EllipsisType,
    FunctionType,
    MethodType,
    NotImplementedType,
)
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikeformer.error_handling import ArgumentError


def content_key(*values: Any) -> str:
    """Return the SHA-256 of what values hold: equal content gives equal keys, nothing else does.

    Tensors and arrays count by type, shape and bytes, wherever they lie; containers by their
    members, dictionaries and sets in any order; dataclasses by their fields; functions by their
    name, code, defaults and closure (not by the globals they read); modules by their class,
    parameters, buffers, public attributes and mode, and those of all modules below.

    Args:
        *values: None, numbers, strings, bytes, paths, enums, tensors, arrays, modules, functions,
            classes, and containers and dataclasses of these.

    Returns:
        64 hexadecimal digits.

    Raises:
        ArgumentError: A value is of another type.

    Example:
        >>> content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
        True
        >>> content_key(1) == content_key(1.0)
        False
    """
    return _digest(values, ()).hex()


def _digest(value: Any, above: tuple[int, ...]) -> bytes:
    """Return the hash of one value; `above` are the containers it lies in."""
    hasher = hashlib.sha256()
    if id(value) in above:  # it contains itself
        hasher.update(b"above" + str(above.index(id(value))).encode())
        return hasher.digest()
    inside = (*above, id(value))
    for part in _parts(value):
        if isinstance(part, _Nested):
            hasher.update(b"d" + _digest(part.value, inside))
        elif isinstance(part, _Unordered):
            hasher.update(b"u" + b"".join(sorted(_digest(m, inside) for m in part.members)))
        else:
            hasher.update(struct.pack(">cQ", b"b", memoryview(part).nbytes))
            hasher.update(part)
    return hasher.digest()


@dataclasses.dataclass(frozen=True)
class _Nested:
    """A part that is hashed by itself first."""

    value: Any


@dataclasses.dataclass(frozen=True)
class _Unordered:
    """Members in no order, as those of a set."""

    members: Collection[Any]


def _parts(value: Any) -> list[Any]:
    """Return what tells a value, bytes and nested values; the first part names its type."""
    match value:
        case None | bool() | EllipsisType() | NotImplementedType():
            return [repr(value).encode()]
        case enum.Enum():
            return [b"enum", *_named(type(value)), value.name.encode()]
        case int():
            return [b"int", str(int(value)).encode()]
        case float():
            return [b"float", struct.pack(">d", value)]
        case complex():
            return [b"complex", struct.pack(">dd", value.real, value.imag)]
        case str():
            return [b"str", value.encode("utf-8", "surrogatepass")]
        case bytes() | bytearray() | memoryview():
            return [b"bytes", bytes(value)]
        case Tensor():
            return [b"tensor", *_tensor(value)]
        case np.ndarray() | np.generic():
            return [b"array", *_array(np.asarray(value))]
        case nn.Module():
            return [b"module", *_module(value)]
        case Mapping():
            return [b"mapping", _Unordered(list(value.items()))]
        case set() | frozenset():
            return [b"set", _Unordered(value)]
        case list() | tuple():
            kind = b"list" if isinstance(value, list) else b"tuple"
            return [kind, *map(_Nested, value)]
        case slice() | range():
            return [b"range", *map(_Nested, (value.start, value.stop, value.step))]
        case PurePath() | torch.dtype() | torch.device():
            return [b"text", *_named(type(value)), str(value).encode()]
    return _code_parts(value)


def _code_parts(value: Any) -> list[Any]:
    """Return the parts of functions, classes and dataclasses."""
    match value:
        case FunctionType():
            cells = [_content(cell) for cell in value.__closure__ or ()]
            defaults = (value.__defaults__, value.__kwdefaults__)
            told = (value.__code__, defaults, cells)
            return [b"function", *_named(value), *map(_Nested, told)]
        case CodeType():
            return [b"code", value.co_code, *map(_Nested, (value.co_consts, value.co_names))]
        case MethodType():
            return [b"method", _Nested(value.__func__), _Nested(value.__self__)]
        case partial():
            return [b"partial", *map(_Nested, (value.func, value.args, value.keywords))]
        case type() | BuiltinFunctionType():
            return [b"named", *_named(value)]
    if dataclasses.is_dataclass(value):
        fields = [getattr(value, field.name) for field in dataclasses.fields(value)]
        return [b"dataclass", *_named(type(value)), *map(_Nested, fields)]
    raise ArgumentError(
        "value",
        type(value).__name__,
        "plain data, a tensor, an array, a module, a function or a dataclass of these",
        "Give `cached` a function that makes a key of the arguments: key=lambda ...: (...).",
    )


def _content(cell: CellType) -> Any:
    """Return what a function closes over; a function that calls itself has no name yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return CellType


def _named(value: Any) -> list[bytes]:
    return [f"{value.__module__}.{value.__qualname__}".encode()]


def _tensor(tensor: Tensor) -> list[Any]:
    if tensor.layout != torch.strided or tensor.is_quantized:
        expected, remedy = "dense and not quantised", "Densify it."
        raise ArgumentError("tensor", str(tensor.layout), expected, remedy)
    plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    content = plain.reshape(-1).view(torch.uint8) if plain.numel() else torch.empty(0).byte()
    return [str(plain.dtype).encode(), str(tuple(plain.shape)).encode(), content.numpy().data]


def _array(array: np.ndarray) -> list[Any]:
    if array.dtype.hasobject:
        raise ArgumentError("array", str(array.dtype), "an array of numbers or strings")
    content = np.ascontiguousarray(array).reshape(-1).view(np.uint8) if array.size else array
    return [str(array.dtype).encode(), str(array.shape).encode(), content.tobytes()]


def _module(module: nn.Module) -> list[Any]:
    own = vars(nn.Module())
    parts: list[Any] = []
    for name, part in module.named_modules(remove_duplicate=False):
        settings = {k: v for k, v in vars(part).items() if k not in own and k[:1] != "_"}
        state = {**part._parameters, **part._buffers}
        parts += [name.encode(), *_named(type(part)), _Nested(part.training)]
        parts += [_Nested(state), _Nested(settings)]
    return parts
