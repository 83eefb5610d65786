"""Spike attention as operators of torch, known to autograd, `torch.compile` and `torch.export`.

Tensors are (b, t, n, h, d), and states shaped like the neurons' current without its time axis.
Backward gets the spikes in bits. The arguments from `parameters` to `backend` are
those of the operators of `lif`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from spikeformer.ops.dispatch import load_kernels
from spikeformer.ops.spike_attention.composed import empty_bits


def current_shape(query: Tensor, mechanism: str, causal: bool) -> tuple[int, ...]:
    """Shape of what the neurons integrate."""
    batch, timesteps, tokens, heads, channels = query.shape
    if mechanism == "qk_token":
        return batch, timesteps, tokens, heads
    counted = 1 if mechanism == "sdsa" and not causal else tokens
    return batch, timesteps, counted, heads, channels


@torch.library.custom_op("spikeformer::spike_attention", mutates_args=())
def spike_attention_op(
    query: Tensor,
    key: Tensor,
    value: Tensor | None,
    membrane: Tensor | None,
    adaptation: Tensor | None,
    parameters: Tensor | None,
    numbers: Sequence[float],
    reset: str,
    detach_reset: bool,
    surrogate: str,
    slope: float,
    backend: str,
    mechanism: str,
    scale: float,
    causal: bool,
    save: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Spikes, final membrane, final adaptation, and with `save` the bits of query, key and value.

    What there is not, is empty.
    """
    return load_kernels("spike_attention", backend).forward(
        (query, key, value),
        (membrane, adaptation),
        (parameters, numbers, reset, detach_reset, surrogate, slope, backend),
        mechanism,
        scale,
        causal,
        save,
    )


@spike_attention_op.register_fake
def _(
    query: Tensor,
    key: Tensor,
    value: Tensor | None,
    membrane: Tensor | None,
    adaptation: Tensor | None,
    *options: Any,
) -> tuple[Tensor, ...]:
    *_, mechanism, _, causal, save = options
    shape = current_shape(query, mechanism, causal)
    state = query.new_empty((shape[0], *shape[2:]), dtype=torch.float32)
    final_adaptation = state.new_empty(0) if adaptation is None else state.clone()

    spikes = query.new_empty(query.shape)
    return spikes, state, final_adaptation, *empty_bits((query, key, value), save)


@torch.library.custom_op("spikeformer::spike_attention_backward", mutates_args=())
def spike_attention_backward_op(
    query_bits: Tensor,
    key_bits: Tensor,
    value_bits: Tensor | None,
    membrane: Tensor | None,
    adaptation: Tensor | None,
    parameters: Tensor | None,
    numbers: Sequence[float],
    reset: str,
    detach_reset: bool,
    surrogate: str,
    slope: float,
    backend: str,
    mechanism: str,
    scale: float,
    causal: bool,
    grad_spikes: Tensor,
    grad_membrane: Tensor | None,
    grad_adaptation: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of query, key, value, membrane, adaptation and parameters; empty where None."""
    return load_kernels("spike_attention", backend).backward(
        (query_bits, key_bits, value_bits),
        (membrane, adaptation),
        (parameters, numbers, reset, detach_reset, surrogate, slope, backend),
        mechanism,
        scale,
        causal,
        grad_spikes,
        (grad_membrane, grad_adaptation),
    )


@spike_attention_backward_op.register_fake
def _(
    query_bits: Tensor,
    key_bits: Tensor,
    value_bits: Tensor | None,
    membrane: Tensor | None,
    adaptation: Tensor | None,
    parameters: Tensor | None,
    numbers: Sequence[float],
    reset: str,
    detach_reset: bool,
    surrogate: str,
    slope: float,
    backend: str,
    mechanism: str,
    scale: float,
    causal: bool,
    grad_spikes: Tensor,
    *_: Any,
) -> tuple[Tensor, ...]:
    def spikes(bits: Tensor | None) -> Tensor:
        shape = (0,) if bits is None else (*bits.shape[:3], *grad_spikes.shape[3:])
        return grad_spikes.new_empty(shape)

    def like(tensor: Tensor | None) -> Tensor:
        shape = (0,) if tensor is None else tensor.shape
        return grad_spikes.new_empty(shape, dtype=torch.float32)

    given = (membrane, adaptation, parameters)
    return *map(spikes, (query_bits, key_bits, value_bits)), *map(like, given)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    query, _, value = inputs[:3]
    query_bits, key_bits, value_bits = output[3:]
    ctx.save_for_backward(query_bits, key_bits, None if value is None else value_bits, *inputs[3:6])
    ctx.options = inputs[6:15]
    ctx.like_spikes = query.new_empty(0), query.shape
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    inputs = ctx.saved_tensors
    grad_spikes, grad_membrane, grad_adaptation = grads[:3]
    if grad_spikes is None:
        empty, shape = ctx.like_spikes
        grad_spikes = empty.new_zeros(()).expand(shape)
    results = spike_attention_backward_op(
        *inputs,
        *ctx.options,
        grad_spikes,
        grad_membrane,
        None if inputs[4] is None else grad_adaptation,
    )
    tensors = (
        result if given is not None else None for given, result in zip(inputs, results, strict=True)
    )
    return *tensors, *(None for _ in ctx.options), None


spike_attention_op.register_autograd(_backward, setup_context=_setup_context)
