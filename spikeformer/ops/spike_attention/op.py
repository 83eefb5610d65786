"""The public `spike_attention` function: checks its arguments, picks a backend and runs it."""

from __future__ import annotations

from typing import Any, Unpack

import torch
from torch import Tensor

from spikeformer.error_handling import ArgumentError, check_choice
from spikeformer.ops.lif.dynamics import Dynamics, LifArguments, LifState
from spikeformer.ops.lif.op import lif
from spikeformer.ops.spike_attention.operator import current_shape, run_spike_attention
from spikeformer.ops.spike_attention.reference import (
    attention_current,
    attention_output,
    spike_attention_reference,
)

MECHANISMS = ("ssa", "qk_token", "sdsa")


def spike_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor | None = None,
    state: LifState | None = None,
    *,
    mechanism: str = "ssa",
    scale: float = 0.125,
    causal: bool = False,
    **neuron: Unpack[LifArguments],
) -> tuple[Tensor, LifState]:
    """Attention between spikes, without softmax, together with the neurons behind it.

    With LIF the neurons of `lif`, n the tokens and d the channels of a head:

        "ssa"       LIF(scale * q k^T v)
        "qk_token"  k * LIF(sum_d q)
        "sdsa"      q * LIF(sum_n k * v)

    With `causal`, a token sees only itself and those before it: "ssa" takes the lower triangle of
    q k^T and "sdsa" the sum over the tokens so far; "qk_token" never lets tokens meet. "ssa" is
    computed as (q k^T) v or q (k^T v), whichever takes fewer multiplications.

    Sums and products are in float32 whatever the inputs are, under autocast too. Backward keeps
    one bit of each spike and computes everything else again.

    With `max_spikes` = D, neurons and inputs are integer ones, fractions n / D. Gates and matches
    are then minima instead of products, `spike_match`: in as many of their D unit spikes two
    neurons fire together. "ssa" multiplies the fractions, and its backward keeps them.

    Args:
        query: Spikes 0 or 1, or n / D with `max_spikes`, (batch, timesteps, tokens, heads,
            channels), of any strides. Nothing checks the values; a kernel may take whatever is
            not 0 for a spike.
        key: Spikes shaped like `query`. "ssa", and "sdsa", each without `causal`, take another
            number of tokens than there are queries.
        value: Spikes shaped like `key`; None for "qk_token".
        state: State after an earlier call; None starts from zero.
        mechanism: One of `MECHANISMS`.
        scale: Factor on the attended values of "ssa".
        causal: Let a token see only itself and those before it.
        **neuron: Arguments of `lif`: `decay`, `threshold`, `reset` and so on, and `backend`.

    Returns:
        Spikes of the same kind with the shape and dtype of `query`, and the neurons' state after
        the last timestep in float32 (float64 for float64 input): (batch, tokens, heads) for
        "qk_token", (batch, 1, heads, channels) for "sdsa" without `causal`, else (batch, tokens,
        heads, channels).

    Raises:
        ArgumentError: If an argument is outside its documented range or the tensors do not fit.
        BackendUnavailableError: If an explicit backend cannot run on the query's device.

    References:
        "ssa": Zhou et al. 2023, arXiv:2209.15425; "qk_token": Zhou et al. 2024, arXiv:2403.16552;
        "sdsa": Yao et al. 2023, arXiv:2307.01694.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 2, 3, 1, 4)
        >>> spikes, state = spike_attention(ones, ones, ones, decay=0.5, threshold=2.0)
        >>> spikes[0, :, 0, 0, 0].tolist(), state.membrane.shape
        ([0.0, 1.0], torch.Size([1, 3, 1, 4]))
    """
    check_choice("mechanism", mechanism, MECHANISMS)
    _check_spikes(query, key, value, mechanism, causal)
    # The current is never stored, but it has a shape, and with it the state.
    current = query.new_empty(()).expand(current_shape(query, mechanism, causal))
    dynamics, checked = Dynamics.of("spike_attention", current, state, **neuron)
    if dynamics.max_spikes and dynamics.backend != "reference":
        options: Any = {"mechanism": mechanism, "counts": True, "backend": dynamics.backend}
        counted = attention_current(query, key, value, scale=scale, causal=causal, **options)
        fired, final = lif(counted, state, **neuron)
        return attention_output(fired, query, key, **options), final
    if dynamics.backend == "reference":
        return spike_attention_reference(
            query,
            key,
            value,
            checked,
            dynamics,
            mechanism=mechanism,
            scale=scale,
            causal=causal,
        )
    operands = dynamics.for_operator(query.device)
    tensors = (query, key, value, *checked)
    learned = any(x is not None and x.requires_grad for x in (*tensors, operands[0]))
    # What torch.jit traces may be trained in the end.
    tracing = torch._C._get_tracing_state() is not None
    save = tracing or (torch.is_grad_enabled() and learned)
    spikes, membrane, adaptation, *_ = run_spike_attention(
        *tensors, *operands, mechanism, scale, causal, save
    )
    return spikes, LifState(membrane, None if checked[1] is None else adaptation)


def _check_spikes(
    query: Tensor, key: Tensor, value: Tensor | None, mechanism: str, causal: bool
) -> None:
    if query.dim() != 5 or query.shape[1] < 1 or not query.is_floating_point():
        raise ArgumentError(
            "query",
            f"{tuple(query.shape)} {query.dtype}",
            "a floating-point tensor (batch, timesteps, tokens, heads, channels) with at least one"
            " timestep",
        )
    # Where every query meets all keys, there may be more or fewer of them.
    free = mechanism != "qk_token" and not causal
    tokens = key.shape[2] if free and key.dim() == 5 else query.shape[2]
    expected = (*query.shape[:2], tokens, *query.shape[3:])
    if key.shape != expected or key.dtype != query.dtype:
        wanted = f"of shape {tuple(expected)} and {query.dtype}, like `query`"
        raise ArgumentError("key", f"{tuple(key.shape)} {key.dtype}", wanted)
    if mechanism == "qk_token":
        if value is not None:
            raise ArgumentError("value", tuple(value.shape), "None with mechanism 'qk_token'")
    elif value is None or value.shape != key.shape or value.dtype != key.dtype:
        received = None if value is None else f"{tuple(value.shape)} {value.dtype}"
        wanted = f"of shape {tuple(key.shape)} and {key.dtype}, like `key`"
        raise ArgumentError("value", received, wanted)
