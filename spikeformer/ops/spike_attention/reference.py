"""Spike attention in plain torch: the definition that every kernel is tested against.

Axes: b batch, t timesteps, n tokens, h heads, d channels of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikeformer.ops.lif.dynamics import Dynamics, LifState, State
from spikeformer.ops.lif.reference import lif_reference
from spikeformer.ops.spike_match import spike_match


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
    options: Any = {
        "mechanism": mechanism,
        "counts": dynamics.max_spikes > 0,
        "backend": "reference",
    }
    current = attention_current(query, key, value, scale=scale, causal=causal, **options)
    fired, final = lif_reference(current, state, dynamics)
    return attention_output(fired, query, key, **options), final


def attention_current(
    query: Tensor,
    key: Tensor,
    value: Tensor | None,
    *,
    mechanism: str,
    scale: float,
    causal: bool,
    counts: bool = False,
    backend: str = "auto",
) -> Tensor:
    """What the neurons integrate: (b, t, n, h) for "qk_token", else (b, t, n, h, d).

    It counts coincidences, so it is in float32 or wider whatever the inputs are; "sdsa" without
    `causal` has one count for all tokens, (b, t, 1, h, d). With `counts`, spikes are those of
    integer neurons, and coincide in as many of their unit spikes as the fewer of the two, which
    `backend` of `spike_match` computes.
    """
    wide = torch.promote_types(query.dtype, torch.float32)
    if mechanism == "qk_token":
        return query.sum(dim=-1, dtype=wide)
    assert value is not None
    if mechanism == "sdsa":
        if causal:
            match = coincidence(key, value, counts=counts, backend=backend)
            return match.cumsum(dim=2, dtype=wide)
        if counts:
            return spike_match(key, value, total=True, backend=backend)
        return (key * value).sum(dim=2, keepdim=True, dtype=wide)
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
    fired: Tensor,
    query: Tensor,
    key: Tensor,
    *,
    mechanism: str,
    counts: bool = False,
    backend: str = "auto",
) -> Tensor:
    """The spikes that leave: those that fired, or those that they let through."""
    fired = fired.to(query.dtype)
    if mechanism == "qk_token":
        return coincidence(key, fired.unsqueeze(-1), counts=counts, backend=backend)
    if mechanism == "sdsa":
        return coincidence(query, fired, counts=counts, backend=backend)
    return fired


def coincidence(one: Tensor, other: Tensor, *, counts: bool, backend: str = "auto") -> Tensor:
    """How often two neurons fire together: the product of bits, or `spike_match` with `counts`."""
    return spike_match(one, other, backend=backend) if counts else one * other
