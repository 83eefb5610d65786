"""Values as tensors and JSON: what a cache can hold without pickling anything."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeformer.error_handling import ArgumentError


@dataclass(frozen=True)
class Packed:
    """A value taken apart.

    Attributes:
        tensors: Dense tensors in CPU memory, by number.
        structure: JSON that says where they belong.
    """

    tensors: dict[str, Tensor]
    structure: str

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return len(self.structure) + sum(x.nbytes for x in self.tensors.values())

    def clone(self) -> Packed:
        """Return a copy that shares no memory."""
        return Packed({name: x.clone() for name, x in self.tensors.items()}, self.structure)


def pack(value: Any) -> Packed:
    """Take a value apart.

    Args:
        value: None, numbers, strings, bytes, dense tensors, arrays, and lists, tuples and
            dictionaries of these.

    Returns:
        The parts; tensors that lie in CPU memory share it with `value`.

    Raises:
        ArgumentError: The value, or one inside it, is of another type, or it is a tensor that
            autograd would have to follow.

    Example:
        >>> unpack(pack({"rate": (torch.ones(2), 0.5)}))
        {'rate': (tensor([1., 1.]), 0.5)}
    """
    tensors: dict[str, Tensor] = {}
    return Packed(tensors, json.dumps(_take(value, tensors)))


def unpack(packed: Packed) -> Any:
    """Put a value together again; it shares memory with `packed`.

    Tensors return to the kind of device they came from, where there is one.

    Raises:
        ValueError: The parts do not fit together; they are not what `pack` made.
    """
    try:
        return _put(json.loads(packed.structure), packed.tensors)
    except (LookupError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"not a packed value: {error}") from error


def _take(value: Any, tensors: dict[str, Tensor]) -> Any:
    match value:
        case None | bool() | str() | float() | int() if type(value).__module__ == "builtins":
            return value
        case bytes():
            content = torch.frombuffer(bytearray(value), dtype=torch.uint8) if value else _EMPTY
            return {"bytes": _number(content, tensors)}
        case Tensor():
            return _take_tensor(value, tensors)
        case np.ndarray() | np.generic():
            return _take_array(value, tensors)
        case list():
            return {"list": [_take(member, tensors) for member in value]}
        case tuple() if type(value) in (tuple, torch.Size):
            return {"tuple": [_take(member, tensors) for member in value]}
        case dict():
            return {"dict": [[_take(k, tensors), _take(v, tensors)] for k, v in value.items()]}
    expected, remedy = (
        "something a cache can hold",
        "Return tensors, arrays and plain data; of a class, its fields.",
    )
    raise ArgumentError("value", type(value).__name__, expected, remedy)


_EMPTY = torch.empty(0, dtype=torch.uint8)


def _number(tensor: Tensor, tensors: dict[str, Tensor]) -> str:
    name = str(len(tensors))
    tensors[name] = tensor
    return name


def _take_tensor(tensor: Tensor, tensors: dict[str, Tensor]) -> dict[str, Any]:
    if tensor.grad_fn is not None:
        received, expected = "a tensor with a gradient", "detached"
        raise ArgumentError("value", received, expected, "Use x.detach().")
    if tensor.layout != torch.strided or tensor.is_quantized:
        received, expected = f"a tensor of {tensor.layout}", "dense"
        raise ArgumentError("value", received, expected, "Densify it.")
    plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    parts = torch.view_as_real(plain) if plain.is_complex() else plain
    kind = "complex" if plain.is_complex() else "tensor"
    return {kind: [_number(parts, tensors), tensor.device.type]}


def _take_array(value: Any, tensors: dict[str, Tensor]) -> dict[str, Any]:
    array = np.asarray(value)
    if array.dtype.hasobject or array.dtype.names:
        received, expected = f"an array of {array.dtype}", "of numbers or text"
        raise ArgumentError(
            "value",
            received,
            expected,
            "Return tensors, arrays and plain data; of a class, its fields.",
        )
    content = np.frombuffer(np.ascontiguousarray(array).tobytes() or b"", np.uint8).copy()
    kind = "scalar" if isinstance(value, np.generic) else "array"
    return {kind: [_number(torch.from_numpy(content), tensors), array.dtype.str, array.shape]}


def _put(node: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(node, dict):
        return node
    ((kind, content),) = node.items()
    match kind:
        case "list":
            return [_put(member, tensors) for member in content]
        case "tuple":
            return tuple(_put(member, tensors) for member in content)
        case "dict":
            return {_put(k, tensors): _put(v, tensors) for k, v in content}
        case "bytes":
            return tensors[content].numpy().tobytes()
        case "tensor" | "complex":
            tensor = tensors[content[0]]
            whole = torch.view_as_complex(tensor) if kind == "complex" else tensor
            return whole.to(_here(content[1]))
        case "array" | "scalar":
            name, dtype, shape = content
            array = tensors[name].numpy().view(np.dtype(dtype)).reshape(shape)
            return array if kind == "array" else array[()]
    raise ValueError(f"unknown kind {kind!r}")


def _here(device: str) -> str:
    """Return the kind of device if this machine has it, else the CPU."""
    current = torch.accelerator.current_accelerator()
    return device if current is not None and current.type == device else "cpu"
