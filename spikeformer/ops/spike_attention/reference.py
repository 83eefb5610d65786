"""Spike attention in plain torch: the definition that every kernel is tested against.

Axes: b batch, t timesteps, n tokens, h heads, d channels of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor

from spikeformer.ops.lif.dynamics import Dynamics, LifState, State
from spikeformer.ops.lif.reference import lif_reference


def spike_attention_reference(
    query: Tensor,
    key: Tensor,
    value: Tensor | None,
    state: State,
    dynamics: Dynamics,
    *,
    mechanism: str,
    scale: float,
    causal: bool,
) -> tuple[Tensor, LifState]:
    """Let the neurons of `mechanism` integrate what the tokens have in common.

    Args:
        query: Spikes, (b, t, n, h, d).
        key: Spikes, (b, t, n, h, d).
        value: Spikes like `key`; None for "qk_token".
        state: Initial state, shaped like the current without its time axis; None where absent.
        dynamics: What the neurons do.
        mechanism: "ssa", "qk_token" or "sdsa".
        scale: Factor on the attended values of "ssa".
        causal: Whether a token sees only itself and those before it.
    """
    counts = dynamics.max_spikes > 0
    current = attention_current(
        query, key, value, mechanism=mechanism, scale=scale, causal=causal, counts=counts
    )
    fired, final = lif_reference(current, state, dynamics)
    return attention_output(fired, query, key, mechanism=mechanism, counts=counts), final


def attention_current(
    query: Tensor,
    key: Tensor,
    value: Tensor | None,
    *,
    mechanism: str,
    scale: float,
    causal: bool,
    counts: bool = False,
) -> Tensor:
    """What the neurons integrate: (b, t, n, h) for "qk_token", else (b, t, n, h, d).

    It counts coincidences, so it is in float32 or wider whatever the inputs are; "sdsa" without
    `causal` has one count for all tokens, (b, t, 1, h, d). With `counts`, spikes are those of
    integer neurons, and coincide in as many of their unit spikes as the fewer of the two.
    """
    wide = torch.promote_types(query.dtype, torch.float32)
    if mechanism == "qk_token":
        return query.sum(dim=-1, dtype=wide)
    assert value is not None
    if mechanism == "sdsa":
        match = coincidence(key, value, counts=counts)
        if causal:
            return match.cumsum(dim=2, dtype=wide)
        return match.sum(dim=2, keepdim=True, dtype=wide)
    with torch.autocast(query.device.type, enabled=False):
        q, k, v = (x.to(wide).transpose(2, 3) for x in (query, key, value))
        if causal:
            attended = (q @ k.mT).tril() @ v
        elif keys_meet_values_first(query, key, value):
            attended = q @ (k.mT @ v)
        else:
            attended = (q @ k.mT) @ v
        return (attended * scale).transpose(2, 3)


def keys_meet_values_first(query: Tensor, key: Tensor, value: Tensor | None = None) -> bool:
    """Whether q (k^T v) takes fewer multiplications than (q k^T) v.

    Without `value`, it is shaped like `key`.
    """
    queries, keys, channels = query.shape[2], key.shape[2], query.shape[4]
    wide = channels if value is None else value.shape[4]
    return channels * wide * (queries + keys) < (channels + wide) * queries * keys


def attention_output(
    fired: Tensor, query: Tensor, key: Tensor, *, mechanism: str, counts: bool = False
) -> Tensor:
    """The spikes that leave: those that fired, or those that they let through."""
    fired = fired.to(query.dtype)
    if mechanism == "qk_token":
        return coincidence(fired.unsqueeze(-1), key, counts=counts)
    if mechanism == "sdsa":
        return coincidence(query, fired, counts=counts)
    return fired


def coincidence(one: Tensor, other: Tensor, *, counts: bool) -> Tensor:
    """How often two neurons fire together: the product of bits, or the minimum with `counts`.

    Unit spikes of an integer neuron follow one another from the start of its timestep
    (`neurons.unit_spikes`), so those of two neurons meet as often as the fewer of them are, which
    an AND of bits computes in each of the D steps.
    """
    return torch.minimum(one, other) if counts else one * other
