"""Sees every torch function that a network calls, and puts neurons in front of its products.

The network's own code runs, whatever it looks like: no module is replaced, none is rewritten. A
`TorchFunctionMode` hands its linear layers, convolutions, matrix products and attention to an
engine, which decides what stands for the operands. Everything else runs as it is.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikeformer.conversion.tracing.plan import describe
from spikeformer.error_handling import ConversionError
from spikeformer.instrument import Function, FunctionStream, Trail, unfused

Operand = tuple[Tensor, tuple[int, ...]]
"""An operand of a product, and the axes along which its channels lie, counted from the end."""


class Affine(NamedTuple):
    """A map that is affine in an activation.

    Attributes:
        function: Name of the torch function.
        x: The activation.
        axes: Its axes along which channels lie, counted from the end.
        parameters: Weight and bias of the map.
        apply: The map, with both.
    """

    function: str
    x: Tensor
    axes: tuple[int, ...]
    parameters: tuple[Tensor | None, ...]
    apply: Callable[[Tensor], Tensor]


class Bilinear(NamedTuple):
    """A product of two operands.

    Attributes:
        function: Name of the torch function.
        operands: Both by role, each with the axes of its channels.
        apply: The product.
    """

    function: str
    operands: Mapping[str, Operand]
    apply: Callable[[Tensor, Tensor], Tensor]


class Engine(ABC):
    """What an interception asks for the spiking side of a product.

    Attributes:
        trail: Follows the pass.
        types: Type of each module by its path, for messages.
    """

    trail: Trail
    types: Mapping[str, str]

    @property
    def where(self) -> str:
        """The module that runs, or in which an error happened, for messages."""
        return describe(self.trail.path, self.types)

    @abstractmethod
    def affine(self, product: Affine) -> Tensor:
        """Return `apply(x)`, with spikes for `x`."""

    @abstractmethod
    def bilinear(self, product: Bilinear) -> Tensor:
        """Return `apply(left, right)`, with spikes for the activations."""

    @abstractmethod
    def other(self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function that is no product."""


@contextmanager
def intercept(engine: Engine) -> Iterator[None]:
    """Hand the products that are computed inside to an engine; torch's fused layers are off."""

    def run(function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        handler = _HANDLERS.get(function)
        if handler is None:
            return engine.other(function, args, kwargs)
        names = _NAMES.get(handler, {})
        return handler(
            engine, function, *args, **{names.get(key, key): kwargs[key] for key in kwargs}
        )

    with unfused, FunctionStream(run):
        yield


def _linear(
    engine: Engine,
    func: Function,
    input: Tensor,  # noqa: A002 - the names are those of torch
    weight: Tensor,
    bias: Tensor | None = None,
) -> Tensor:
    product = Affine("linear", input, (-1,), (weight, bias), lambda x: func(x, weight, bias))
    return engine.affine(product)


def _convolution(
    engine: Engine,
    func: Function,
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
    *rest: Any,
    **options: Any,
) -> Tensor:
    # Channels come before the axes over which the kernel slides.
    axes, parameters = (1 - weight.ndim,), (weight, bias)
    apply = lambda x: func(x, weight, bias, *rest, **options)  # noqa: E731
    return engine.affine(Affine(func.__name__, input, axes, parameters, apply))


def _addmm(
    engine: Engine,
    func: Function,
    input: Tensor,  # noqa: A002
    left: Tensor,
    right: Tensor,
    **options: Any,
) -> Tensor:
    if isinstance(right, nn.Parameter):
        apply = lambda x: func(input, x, right, **options)  # noqa: E731
        return engine.affine(Affine("addmm", left, (-1,), (right, input), apply))
    alpha, beta = options.get("alpha", 1), options.get("beta", 1)
    product = _matmul(engine, torch.matmul, left, right)
    return alpha * product + beta * input


def _matmul(engine: Engine, func: Function, left: Tensor, right: Tensor, **options: Any) -> Tensor:
    """Products of two activations, and of one with a matrix that belongs to the network."""
    axes: tuple[tuple[int, ...], tuple[int, ...]]
    if left.ndim == 1 or right.ndim == 1:
        axes = ((-1,), (-1,) if right.ndim == 1 else (-2,))
    else:
        # Heads, the first of the axes behind the batch, have thresholds of their own.
        axes = (_channels(left, -1), _channels(right, -2))
    operands = {"left": (left, axes[0]), "right": (right, axes[1])}
    apply = lambda a, b: func(a, b, **options)  # noqa: E731
    return engine.bilinear(Bilinear(func.__name__.strip("_"), operands, apply))


def _reversed_matmul(engine: Engine, func: Function, right: Tensor, left: Tensor) -> Tensor:
    return _matmul(engine, torch.matmul, left, right)


def _einsum(engine: Engine, func: Function, equation: Any, *operands: Any) -> Tensor:
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    if not isinstance(equation, str) or len(operands) != 2:
        raise ConversionError(
            f"{engine.where} calls torch.einsum in a form without spikes: expected an equation "
            "and two operands. Write it as products of two tensors, or with torch.matmul."
        )
    left, right = operands
    roles = {"left": (left, (-1,)), "right": (right, (-1,))}
    return engine.bilinear(Bilinear("einsum", roles, lambda a, b: func(equation, a, b)))


def _channels(operand: Tensor, axis: int) -> tuple[int, ...]:
    return (-3, axis) if operand.ndim == 4 else (axis,)


def _attention(
    engine: Engine,
    func: Function,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attention as the two products and the softmax that it is made of."""
    scale = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3]
        key, value = (x.repeat_interleave(groups, dim=-3) for x in (key, value))
    roles = {
        "query": (query, _channels(query, -1)),
        "key": (key, _channels(key, -1)),
    }
    scores = engine.bilinear(Bilinear("attention", roles, _scores)) * scale
    if is_causal:
        allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        scores = scores.masked_fill(~allowed, -math.inf)
    if attn_mask is not None:
        boolean = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, -math.inf) if boolean else scores + attn_mask
    # Probabilities have no channels: they lie over tokens, whose number changes.
    roles = {
        "probabilities": (_softmax(scores), ()),
        "value": (value, _channels(value, -1)),
    }
    return engine.bilinear(Bilinear("attention", roles, torch.matmul))


def _scores(query: Tensor, key: Tensor) -> Tensor:
    return query @ key.transpose(-2, -1)


def _softmax(scores: Tensor) -> Tensor:
    """Softmax over keys; a query that may attend to none gets 0 from all, as in torch's kernels."""
    nothing = (scores == -math.inf).all(dim=-1, keepdim=True)
    return scores.softmax(dim=-1).masked_fill(nothing, 0.0)


def _multi_head_attention(
    engine: Engine,
    func: Function,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """`torch.nn.MultiheadAttention` as the layers that it is made of; sequence first."""
    if bias_k is not None or add_zero_attn or static_k is not None or static_v is not None:
        raise ConversionError(
            f"{engine.where}: nn.MultiheadAttention with bias_k, add_zero_attn or static keys "
            "has no spiking form here. Make it with add_bias_kv=False and add_zero_attn=False."
        )
    weights: Any = (q_proj_weight, k_proj_weight, v_proj_weight)
    if not use_separate_proj_weight and in_proj_weight is not None:
        weights = in_proj_weight.chunk(3)
    biases: Any = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
    batched = query.ndim == 3
    inputs = [query, key, value] if batched else list(_with_batch([query, key, value]))
    projections = [
        _linear(engine, F.linear, x, weight, bias)
        for x, weight, bias in zip(inputs, weights, biases, strict=True)
    ]
    # (tokens, batch, heads x channels) to (batch, heads, tokens, channels)
    q, k, v = (x.reshape(*x.shape[:-1], num_heads, -1).permute(1, 2, 0, 3) for x in projections)
    scores_mask = _merged_mask(attn_mask, key_padding_mask, num_heads, q, k)
    roles = {"query": (q, _channels(q, -1)), "key": (k, _channels(k, -1))}
    scores = engine.bilinear(Bilinear("attention", roles, _scores))
    scores = scores / math.sqrt(q.shape[-1])
    if scores_mask is not None:
        scores = scores + scores_mask
    probabilities = _softmax(scores)
    roles = {"probabilities": (probabilities, ()), "value": (v, _channels(v, -1))}
    mixed = engine.bilinear(Bilinear("attention", roles, torch.matmul))
    out = _linear(
        engine, F.linear, mixed.permute(2, 0, 1, 3).flatten(2), out_proj_weight, out_proj_bias
    )
    shown = probabilities.mean(dim=1) if average_attn_weights else probabilities
    if not batched:
        out, shown = out.squeeze(1), shown.squeeze(0)
    return out, shown if need_weights else None


def _with_batch(tensors: Iterable[Tensor]) -> Iterable[Tensor]:
    """Add a batch axis; the same tensor stays the same, so that it is encoded once."""
    done: dict[int, Tensor] = {}
    for tensor in tensors:
        yield done.setdefault(id(tensor), tensor.unsqueeze(1))


def _merged_mask(
    mask: Tensor | None, padding: Tensor | None, num_heads: int, query: Tensor, key: Tensor
) -> Tensor | None:
    """Add the two masks of `nn.MultiheadAttention` up to one for (batch, heads, queries, keys)."""

    def additive(given: Tensor) -> Tensor:
        if given.dtype != torch.bool:
            return given
        zeros = torch.zeros(given.shape, dtype=query.dtype, device=given.device)
        return zeros.masked_fill(given, -math.inf)

    merged = None
    if mask is not None:
        merged = additive(mask)
        if merged.ndim == 3:
            merged = merged.reshape(-1, num_heads, *merged.shape[1:])
    if padding is not None:
        columns = additive(padding).reshape(-1, 1, 1, key.shape[-2])
        merged = columns if merged is None else merged + columns
    return merged


_NAMES: dict[Callable[..., Any], dict[str, str]] = {
    _matmul: {"input": "left", "other": "right", "mat2": "right", "vec": "right"},
    _addmm: {"mat1": "left", "batch1": "left", "mat2": "right", "batch2": "right"},
}
"""What torch's functions call the operands of products, which differs from one to the next."""

_HANDLERS: dict[Function, Callable[..., Any]] = {
    F.linear: _linear,
    **dict.fromkeys(
        (
            torch.conv1d,
            torch.conv2d,
            torch.conv3d,
            torch.conv_transpose1d,
            torch.conv_transpose2d,
            torch.conv_transpose3d,
        ),
        _convolution,
    ),
    **dict.fromkeys(
        (
            torch.matmul,
            torch.mm,
            torch.bmm,
            torch.mv,
            Tensor.matmul,
            Tensor.mm,
            Tensor.bmm,
            Tensor.mv,
            Tensor.__matmul__,
        ),
        _matmul,
    ),
    Tensor.__rmatmul__: _reversed_matmul,
    **dict.fromkeys(
        (torch.addmm, torch.baddbmm, Tensor.addmm, Tensor.baddbmm),
        _addmm,
    ),
    torch.einsum: _einsum,
    F.scaled_dot_product_attention: _attention,
    F.multi_head_attention_forward: _multi_head_attention,
}

PRODUCTS = frozenset(_HANDLERS)
"""Functions that multiply activations with weights or with each other."""
