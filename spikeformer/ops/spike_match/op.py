"""The public `spike_match` function: checks its arguments, picks a backend and runs it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikeformer.error_handling import ArgumentError
from spikeformer.ops.dispatch import load_kernels, resolve_backend
from spikeformer.ops.registration import watched
from spikeformer.ops.spike_match.reference import match_reference


def spike_match(
    one: Tensor, other: Tensor, *, total: bool = False, backend: str = "auto"
) -> Tensor:
    """In how many of their unit spikes integer neurons fire together, as a fraction of all.

    Unit spikes follow one another from the start of a timestep (`neurons.unit_spikes`), so n / D
    and m / D have as many in common as the fewer of them are:

        y[b, t, n, ...] = min(one[b, t, n, ...], other[b, t, n, ...])

    Backward gives the gradient to the smaller one, and half of it to each of equal ones. Kernels
    keep one byte of each pair for it, and neither of the inputs.

    Args:
        one: Spikes n / D, (batch, timesteps, tokens, channels) or (batch, timesteps, tokens, heads,
            channels), of any strides.
        other: Spikes of the same shape, or with one token for all, or one channel for all.
        total: Add up the matches of all tokens; for two of the same shape.
        backend: One of `BACKENDS`; "auto" picks by device. Kernels run where there is a gradient to
            take: torch is as fast without, and `torch.compile` compiles the formula.

    Returns:
        Matches shaped like `one`; with `total` those of one token, in float32 or wider.

    Raises:
        ArgumentError: If the shapes do not fit each other.
        BackendUnavailableError: If an explicit backend cannot run on the spikes' device.

    Example:
        >>> one, other = torch.tensor([0.25, 1.0]), torch.tensor([0.5, 0.75])
        >>> spike_match(one.view(1, 1, 1, 2), other.view(1, 1, 1, 2)).flatten().tolist()
        [0.25, 0.75]
    """
    shared = _shared(one, other, total)
    kernel = resolve_backend(backend, one.device, op="spike_match", dtype=one.dtype)
    trained = torch.is_grad_enabled() and (one.requires_grad or other.requires_grad)
    if kernel == "reference" or not trained or watched((one, other)):
        return match_reference(one, other, total=total)
    dtype = torch.promote_types(one.dtype, other.dtype)
    operands = one.to(dtype), other.to(dtype)
    matched: Tensor = _Match.apply(*operands, shared, total, kernel)  # type: ignore[no-untyped-call]
    return matched


def _shared(one: Tensor, other: Tensor, total: bool) -> str:
    """Which axis `other` shares out: "tokens", "channels" or none, ""."""
    if one.dim() not in (4, 5) or not one.is_floating_point():
        received = f"{tuple(one.shape)} {one.dtype}"
        expected = "a floating-point tensor (batch, timesteps, tokens, [heads,] channels)"
        raise ArgumentError("one", received, expected)
    fits = {(*one.shape[:-1], 1): "channels", (*one.shape[:2], 1, *one.shape[3:]): "tokens"}
    fits = {one.shape: ""} if total else {**fits, one.shape: ""}
    if other.shape not in fits:
        expected = f"of shape {' or '.join(str(tuple(shape)) for shape in fits)}"
        raise ArgumentError("other", tuple(other.shape), expected)
    return fits[other.shape]


class _Match(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, one: Tensor, other: Tensor, shared: str, total: bool, backend: str
    ) -> Tensor:
        kernels = load_kernels("spike_match", backend)
        out: Tensor
        out, order = kernels.forward(one, other, shared, total)
        ctx.save_for_backward(order)
        ctx.options = kernels, other.shape, other.dtype, shared
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (order,) = ctx.saved_tensors
        kernels, shape, dtype, shared = ctx.options
        grad_one, grad_other = kernels.backward(order, grad, dtype, shared)
        return grad_one, grad_other.view(shape).to(dtype), None, None, None
