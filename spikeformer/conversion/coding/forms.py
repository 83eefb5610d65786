"""Softmax, layer norm and GELU without an exponential, a root or a division: spiking forms.

Each is sums, products of two states, and functions of one number that groups of neurons compute
(`groups.py`). They take the arguments of torch's functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from spikeformer.conversion.coding.coding import Coding
from spikeformer.conversion.coding.groups import GROUPS

Group: TypeAlias = Callable[[str, Tensor], Tensor]
"""Runs a function of one number, a key of `GROUPS`, on every element."""


def group(name: str, x: Tensor) -> Tensor:
    """Return what groups of neurons make of `x`; its gradient is that of the exact function.

    Args:
        name: Key of `GROUPS`.
        x: Their states, any shape.
    """
    result: Tensor = _Group.apply(x, name)  # type: ignore[no-untyped-call]
    return result


def softmax(
    run: Group,
    input: Tensor,  # noqa: A002 - the names are those of torch
    dim: int = -1,
    _stacklevel: int = 3,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Return `exp(x) / sum(exp(x))`, the division as a product with the reciprocal."""
    exponentials = run("exp", input if dtype is None else input.to(dtype))
    return exponentials * run("reciprocal", exponentials.sum(dim, keepdim=True))


def layer_norm(
    run: Group,
    input: Tensor,  # noqa: A002
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Return `(x - mean) / sqrt(var + eps) * weight + bias`."""
    axes = tuple(range(-len(normalized_shape), 0))
    x = run("copy", input)
    centred = x - run("copy", x.mean(axes, keepdim=True))
    variance = (centred * centred).mean(axes, keepdim=True)
    y = centred * run("rsqrt", variance + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def gelu(run: Group, input: Tensor, approximate: str = "none") -> Tensor:  # noqa: A002
    """Return GELU, of which the tanh form is an approximation."""
    return run("gelu", input)


FORMS: dict[str, Callable[..., Tensor]] = {
    "gelu": gelu,
    "layer_norm": layer_norm,
    "softmax": softmax,
}
"""Spiking forms by the name of torch's function."""

_EXACT: dict[str, Callable[[Tensor], Tensor]] = {
    "copy": lambda x: x.clone(),
    "exp": torch.exp,
    "gelu": F.gelu,
    "reciprocal": torch.reciprocal,
    "rsqrt": torch.rsqrt,
}


def form_of(coding: Coding, function: Callable[..., Any]) -> Callable[..., Tensor] | None:
    """Return the spiking form that stands for a function of torch's; None runs it as it is.

    A form takes what runs its groups before the function's own arguments.
    """
    if coding.functions == "exact":
        return None
    return FORMS.get(getattr(function, "__name__", ""))


class _Group(torch.autograd.Function):
    """Leaves torch for NumPy, so that a network and its graph compute the very same numbers."""

    @staticmethod
    def forward(x: Tensor, name: str) -> Tensor:
        found = GROUPS[name](x.detach().cpu().double().numpy())
        return torch.from_numpy(found).to(x, copy=True)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.name = inputs[1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        with torch.enable_grad():
            x = ctx.saved_tensors[0].detach().requires_grad_()
            (grad,) = torch.autograd.grad(_EXACT[ctx.name](x), x, grads[0])
        return grad, None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], x: Tensor, name: str
    ) -> tuple[Tensor, Any]:
        return group(name, x), in_dims[0]
