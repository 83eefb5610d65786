"""Spike attention as an operator of torch.

Tensors are (b, t, n, h, d), and states shaped like the neurons' current without its time axis.
Backward gets the spikes in bits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikeformer.ops.dispatch import load_kernels
from spikeformer.ops.lif.dynamics import Dynamics
from spikeformer.ops.registration import (
    GRADIENTS,
    NEURON,
    STATE,
    define,
    differentiate,
    float32_like,
)
from spikeformer.ops.spike_attention.composed import empty_bits


def current_shape(query: Tensor, mechanism: str, causal: bool) -> tuple[int, ...]:
    """Shape of what the neurons integrate."""
    batch, timesteps, tokens, heads, channels = query.shape
    if mechanism == "qk_token":
        return batch, timesteps, tokens, heads
    counted = 1 if mechanism == "sdsa" and not causal else tokens
    return batch, timesteps, counted, heads, channels


def _forward(query: Tensor, key: Tensor, value: Tensor | None, *others: Any) -> tuple[Tensor, ...]:
    """Spikes, final membrane, final adaptation, and with `save` the bits of query, key and value.

    What there is not, is empty.
    """
    membrane, adaptation, *neuron, mechanism, scale, causal, save = others
    dynamics = Dynamics.of_operator(*neuron)
    results: tuple[Tensor, ...] = load_kernels("spike_attention", dynamics.backend).forward(
        (query, key, value), (membrane, adaptation), dynamics, mechanism, scale, causal, save
    )
    return results


def _forward_fake(
    query: Tensor, key: Tensor, value: Tensor | None, *others: Any
) -> tuple[Tensor, ...]:
    _, adaptation, *_, mechanism, _, causal, save = others
    shape = current_shape(query, mechanism, causal)
    state = query.new_empty((shape[0], *shape[2:]), dtype=torch.float32)
    final_adaptation = state.new_empty(0) if adaptation is None else state.clone()
    bits = empty_bits((query, key, value), save)
    return query.new_empty(query.shape), state, final_adaptation, *bits


def _backward(
    query_bits: Tensor, key_bits: Tensor, value_bits: Tensor | None, *others: Any
) -> tuple[Tensor, ...]:
    """Gradients of query, key, value, membrane, adaptation and parameters; empty where None."""
    membrane, adaptation, *neuron, mechanism, scale, causal, grad_spikes = others[:-2]
    dynamics = Dynamics.of_operator(*neuron)
    results: tuple[Tensor, ...] = load_kernels("spike_attention", dynamics.backend).backward(
        (query_bits, key_bits, value_bits),
        (membrane, adaptation),
        dynamics,
        mechanism,
        scale,
        causal,
        grad_spikes,
        others[-2:],
    )
    return results


def _backward_fake(
    query_bits: Tensor, key_bits: Tensor, value_bits: Tensor | None, *others: Any
) -> tuple[Tensor, ...]:
    grad_spikes: Tensor = others[-3]

    def spikes(bits: Tensor | None) -> Tensor:
        shape = (0,) if bits is None else (*bits.shape[:3], *grad_spikes.shape[3:])
        return grad_spikes.new_empty(shape)

    grads = map(spikes, (query_bits, key_bits, value_bits))
    return *grads, *float32_like(grad_spikes, *others[:3])


_SIX = "(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"

spike_attention_op = define(
    "spike_attention",
    f"(Tensor query, Tensor key, Tensor? value, {STATE}, {NEURON},"
    f" str mechanism, float scale, bool causal, bool save) -> {_SIX}",
    _forward,
    _forward_fake,
)
spike_attention_backward_op = define(
    "spike_attention_backward",
    f"(Tensor query_bits, Tensor key_bits, Tensor? value_bits, {STATE}, {NEURON},"
    f" str mechanism, float scale, bool causal, {GRADIENTS}) -> {_SIX}",
    _backward,
    _backward_fake,
)


def _keep(inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> tuple[Any, ...]:
    query_bits, key_bits, value_bits = outputs[3:]
    value_bits = None if inputs[2] is None else value_bits
    return query_bits, key_bits, value_bits, *inputs[3:-1]


run_spike_attention = differentiate(
    spike_attention_op, spike_attention_backward_op, keep=_keep, tensors=6, learned=range(6)
)
