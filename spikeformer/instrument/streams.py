"""The stream of what torch computes: functions as a network calls them, operations as they run."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from functools import partial
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
        ignored: Says of an operation that `others` need not hear of it.
        written: Called after every operation that may have changed a tensor in place.
    """

    def __init__(
        self,
        wanted: Container[Any],
        observe: Callable[[Any, tuple[Any, ...], Any], None],
        others: Callable[[Any, float], None] | None = None,
        *,
        ignored: Callable[[Any], bool] = lambda operation: False,
        written: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._wanted, self._observe, self._others = wanted, observe, others
        self._ignored, self._written = ignored, written
        self._runs: dict[Any, Callable[..., Any]] = {}

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
        run = self._runs.get(func)
        if run is None:
            run = self._runs[func] = self._how_to_run(func)
        return run(*args, **kwargs) if kwargs else run(*args)

    def _how_to_run(self, func: Any) -> Callable[..., Any]:
        """Return what runs an operation: most are asked for often, and looked at once."""
        run: Callable[..., Any] = func
        if func._overloadpacket in self._wanted:
            run = partial(self._observed, func)
        elif _is_composite(func):
            # In inference mode torch hands over what is made of operations to be seen.
            return partial(self._decomposed, func)
        elif self._others is not None and not self._ignored(func):
            run = partial(self._timed, func, self._others)
        return partial(self._writing, run) if func._schema.is_mutable else run

    def _observed(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        out = func(*args, **kwargs)
        self._observe(func._overloadpacket, (*args, *kwargs.values()), out)
        return out

    def _decomposed(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        with self:
            return func.decompose(*args, **kwargs)

    def _timed(
        self, func: Any, others: Callable[[Any, float], None], *args: Any, **kwargs: Any
    ) -> Any:
        start = perf_counter()
        out = func(*args, **kwargs)
        others(func, perf_counter() - start)
        return out

    def _writing(self, run: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        out = run(*args, **kwargs)
        self._written()
        return out


def _is_composite(func: Any) -> bool:
    has_kernel: Callable[[str, str], bool] = torch._C._dispatch_has_kernel_for_dispatch_key
    return has_kernel(func.name(), "CompositeImplicitAutograd")
