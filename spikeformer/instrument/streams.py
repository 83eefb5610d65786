"""The stream of what torch computes: functions as a network calls them, operations as they run."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from functools import cache
from time import perf_counter
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

Function = Callable[..., Any]


class FunctionStream(TorchFunctionMode):
    """Lets `handle(function, args, kwargs)` run every torch function that is called inside.

    Functions are those of the Python interface (`F.linear`, `Tensor.__matmul__`), before autograd
    and `torch.vmap`; what a function calls in turn is not seen.

    Args:
        handle: Returns what the function is to return.

    Example:
        >>> def double(function, args, kwargs):
        ...     return 2 * function(*args, **kwargs)
        >>> with FunctionStream(double):
        ...     x = torch.ones(2) + 1
        >>> x
        tensor([6., 6.])
    """

    def __init__(self, handle: Callable[[Function, tuple[Any, ...], dict[str, Any]], Any]) -> None:
        super().__init__()
        self._handle = handle

    def __torch_function__(
        self,
        func: Function,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run one torch function."""
        return self._handle(func, args, kwargs or {})


class OperationStream(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tells `observe(operation, args, out)` of operations that ran inside.

    Operations are those of the dispatcher (`torch.ops.aten.mm`), below autograd, which sees nothing
    of what `observe` does. Arguments by keyword are behind those by position.

    Args:
        wanted: Operations to hear of.
        observe: What to call.
        others: Called with every operation that is not wanted and not made of others, such as
            `torch.ops.aten.mm.default`, and the seconds that it took.
    """

    def __init__(
        self,
        wanted: Container[Any],
        observe: Callable[[Any, tuple[Any, ...], Any], None],
        others: Callable[[Any, float], None] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._wanted, self._observe, self._others = wanted, observe, others

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # watched networks run uncompiled anyway, and the guard takes time

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run one operation."""
        operation = func._overloadpacket
        if operation in self._wanted:
            out = func(*args, **(kwargs or {}))
            self._observe(operation, (*args, *(kwargs or {}).values()), out)
            return out
        if _is_composite(func):
            # In inference mode torch hands over what is made of operations to be seen.
            with self:
                return func.decompose(*args, **(kwargs or {}))
        if self._others is None:
            return func(*args, **(kwargs or {}))
        start = perf_counter()
        out = func(*args, **(kwargs or {}))
        self._others(func, perf_counter() - start)
        return out


@cache
def _is_composite(func: Any) -> bool:
    has_kernel: Callable[[str, str], bool] = torch._C._dispatch_has_kernel_for_dispatch_key
    return has_kernel(func.name(), "CompositeImplicitAutograd")
