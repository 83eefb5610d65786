"""Runs a network as it is, and finds out where its activations become spikes and how large."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from spikeformer.conversion.calibration.magnitudes import Magnitudes
from spikeformer.conversion.tracing.functions import LINEAR, NONLINEAR, QUESTIONS
from spikeformer.conversion.tracing.interception import Affine, Bilinear, Engine, intercept
from spikeformer.conversion.tracing.plan import ConversionPlan, Operation, Site
from spikeformer.error_handling import ConversionError
from spikeformer.instrument import Function, Trail

# What a tensor is, as far as it matters; one that has no mark is an activation.
_STATIC, _RAW, _PROBABILITIES = "static", "raw", "probabilities"
_PASSES_ON = frozenset(
    ["dropout", "type", "type_as", "contiguous", "clone", "detach", "masked_fill"]
) | frozenset(["to", "float", "double", "half", "bfloat16"])
_KEEPS_ROWS = frozenset(
    ["view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "expand", "where"]
)
_PRODUCTS = ("mul", "__mul__", "__rmul__", "__imul__", "mul_", "multiply")


class Analysis(Engine):
    """Watches a network's own forward passes; an engine of `Interception`.

    A tensor made of parameters and buffers alone is static and needs no neurons. Numbers that the
    caller hands in reach the first layer as they are (direct coding). Everything else is an
    activation.

    Args:
        network: The network, in evaluation mode.
        types: Type of each of its modules by path.
        magnitudes: Keeps how large activations are.
    """

    def __init__(
        self, network: nn.Module, types: Mapping[str, str], magnitudes: Magnitudes
    ) -> None:
        self.network, self.magnitudes = network, magnitudes
        self.types, self.trail = types, Trail(network)
        self.plan = ConversionPlan()
        self._marks: Any = WeakIdKeyDictionary()
        self._own = {_storage(tensor) for tensor in [*network.parameters(), *network.buffers()]}
        self._last: tuple[Tensor, str] | None = None

    @torch.no_grad()
    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run one forward pass and return what it returns."""
        self._last = None
        for leaf in tree_leaves((args, kwargs)):
            if isinstance(leaf, Tensor) and leaf.is_floating_point():
                self._marks[leaf] = _RAW
        with self.trail, intercept(self):
            return self.network(*args, **kwargs)

    def affine(self, product: Affine) -> Tensor:
        """Note a linear layer or convolution."""
        function, x, axes, parameters, apply = product
        operation = self._operation(function)
        for parameter in parameters:
            if parameter is not None and self._mark(parameter) is not _STATIC:
                refused = f"{function} with weights that depend on the input"
                self._refuse(operation.module, refused)
        raw = self._mark(x) is _RAW
        self._assign(operation, "input", None if raw else self._note(operation, "input", x, axes))
        result = apply(x)
        if self._mark(x) is _STATIC:
            self._marks[result] = _STATIC
        return result

    def bilinear(self, product: Bilinear) -> Tensor:
        """Note a product of two activations, or of one and a parameter."""
        function, operands, apply = product
        operation = self._operation(function)
        left, right = (tensor for tensor, _ in operands.values())
        averages = self._mark(left) is _PROBABILITIES
        for role, (tensor, axes) in operands.items():
            if averages and tensor is left:
                axes = ()
            elif averages and function != "attention":
                # The axis summed over holds tokens; channels lie in the last.
                axes = (*axes[:-1], -1)
            self._assign(operation, role, self._note(operation, role, tensor, axes))
        result = apply(left, right)
        if all(self._mark(tensor) is _STATIC for tensor in (left, right)):
            self._marks[result] = _STATIC
        return result

    def other(self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a function that is no product, and note what its results are made of."""
        name = getattr(function, "__name__", str(function))
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        # In-place functions change what their first argument is made of.
        marks = [self._mark(tensor) for tensor in tensors]
        result = function(*args, **kwargs)
        active = [t for t, m in zip(tensors, marks, strict=True) if m is not _STATIC]
        floating = any(tensor.is_floating_point() for tensor in active)
        if floating:
            self._judge(name, sum(tensor.is_floating_point() for tensor in active))
        mark = self._result_mark(name, tensors, marks)
        if tensors and (name == "__setitem__" or (name.endswith("_") and name[:2] != "__")):
            self._rewrite(tensors[0], mark)
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                if mark is None:
                    self._marks.pop(leaf, None)
                else:
                    self._marks[leaf] = mark
        return result

    def _rewrite(self, tensor: Tensor, mark: str | None) -> None:
        """Mark a tensor that was written into, and what it is a view of."""
        for written in (tensor, tensor._base):
            if written is not None and self._mark(written) is not mark:
                self._marks.pop(written, None)

    def _result_mark(self, name: str, tensors: list[Tensor], marks: list[Any]) -> str | None:
        if all(mark is _STATIC for mark in marks):
            return _STATIC
        if name in ("softmax", "softmin"):
            return _PROBABILITIES
        if name in _PASSES_ON:
            return marks[0]
        others = [mark for mark in marks if mark is not _PROBABILITIES]
        if len(others) < len(marks) and (name in _KEEPS_ROWS or name in _PRODUCTS):
            # Heads may be put aside, keys masked or weighted: what is summed over stays tokens.
            return _PROBABILITIES if all(mark in (_STATIC, _RAW) for mark in others) else None
        given = all(
            mark is _RAW or (mark is _STATIC and not isinstance(tensor, nn.Parameter))
            for tensor, mark in zip(tensors, marks, strict=True)
        )
        return _RAW if given else None

    def _judge(self, name: str, num_activations: int) -> None:
        """Note a function that stays in floating point, or that has no spiking form."""
        kept = name in NONLINEAR or (name in _PRODUCTS and num_activations > 1)
        if kept:
            _append(self.plan.floating, self.trail.path, name)
        elif name not in LINEAR and name not in QUESTIONS:
            self._refuse(self.trail.path, name)

    def _refuse(self, path: str, what: str) -> None:
        _append(self.plan.refused, path, what)

    def _mark(self, tensor: Tensor) -> str | None:
        if _storage(tensor) in self._own:
            return _STATIC  # itself, or a view of it
        mark: str | None = self._marks.get(tensor)
        return mark

    def _operation(self, function: str) -> Operation:
        name, _ = self.trail.next_operation(function)
        known = self.plan.operations.get(name)
        if known is None:
            known = self.plan.operations[name] = Operation(name, self.trail.path, function)
        return known

    @staticmethod
    def _assign(operation: Operation, role: str, site: str | None) -> None:
        # A module may run more than once: neurons that one of its runs needs are there for all.
        if site is not None or role not in operation.sites:
            operation.sites[role] = site

    def _note(
        self, operation: Operation, role: str, tensor: Tensor, axes: tuple[int, ...]
    ) -> str | None:
        """Measure an operand that is an activation; return the name of its site."""
        if self._mark(tensor) is _STATIC:
            return None
        if tensor.dtype not in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
            raise ConversionError(
                f"{self.where} multiplies a tensor of {tensor.dtype}; expected floating-point "
                "activations. Load the network without quantisation or complex numbers."
            )
        name = operation.name if role == "input" else f"{operation.name}.{role}"
        axes = tuple(axis for axis in axes if -axis <= tensor.ndim)
        same = self._last[1] if self._last is not None and self._last[0] is tensor else None
        site = self.plan.sites.setdefault(name, Site(name, operation.module, role, same, axes))
        if site.same_as is None:
            self._last = (tensor, name)
            self.magnitudes.add(name, tensor, axes)
        return name


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _append(table: dict[str, list[str]], key: str, value: str) -> None:
    values = table.setdefault(key, [])
    if value not in values:
        values.append(value)
