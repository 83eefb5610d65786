"""Count the products inside spike attention, and the neurons behind them.

Axes: b batch, t timesteps, n tokens, h heads, d channels of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from spikeformer.models.mechanisms import (
    ChannelGate,
    QKTokenAttention,
    SpikeDrivenAttention,
    SpikingSelfAttention,
)
from spikeformer.ops.spike_attention import attention_current
from spikeformer.ops.spike_attention.reference import keys_meet_values_first
from spikeformer.profiling.counting.contents import Contents
from spikeformer.profiling.counting.counts import LayerCounts, event_layer, neuron_layer
from spikeformer.profiling.counting.scene import Scene, over_time, spread

MECHANISMS: dict[type[nn.Module], str] = {
    QKTokenAttention: "qk_token",
    SpikeDrivenAttention: "sdsa",
    ChannelGate: "sdsa",
    SpikingSelfAttention: "ssa",
}
"""What the mechanisms compute, also where their neurons must be called and nothing is fused."""


def attention_products(
    scene: Scene,
    query: Tensor,
    key: Tensor,
    value: Tensor | None,
    mechanism: str,
    causal: bool,
    *,
    binary: bool = False,
    additions: Tensor | None = None,
) -> LayerCounts:
    """Count additions caused by spikes.

    With `binary` all are known to be 0 or 1; `additions` (b, t, ...) are their sums where somebody
    has them already.

    - "qk_token": a spike of the query adds to its token's gate.
    - "sdsa": a spike of the key adds to its channel's gate where the value fires too.
    - "ssa": spikes that coincide (each of a neuron's with each of the other's, if they are integer
      ones) add to the first product; each spike of the third operand adds a
      row of the first product's integers to the second.

    The gates' own work, an AND of bits, is left out.
    """
    batch, steps, tokens, heads, channels = query.shape
    full = batch * steps * heads
    given = [
        Contents("spikes", x) if binary else scene.contents(x, steps)
        for x in (query, key, value)
        if x is not None
    ]
    query, key, *rest = (found.size for found in given)
    unit_steps = max(found.unit_steps for found in given)
    if mechanism == "qk_token":
        operations = query if additions is None else additions
        dense, targets = full * tokens * channels, tokens * heads
    elif mechanism == "sdsa":
        # Unit spikes meet as often as the fewer of the two are; of bits it is the product.
        matches = torch.minimum(key, rest[0]) if rest else key
        operations = matches if additions is None else additions
        dense = full * key.shape[2] * channels
        targets = heads * channels * (tokens if causal else 1)
    else:
        operations, pairs = _ssa(query, key, rest[0], causal)
        dense, targets = full * pairs, tokens * heads * rest[0].shape[4]
    timeline = over_time(operations)
    return event_layer(
        scene.layer,
        "attention",
        events=_events(scene, [found.size for found in given]),
        operations=sum(timeline),
        dense=float(dense * unit_steps),
        weights=0.0,
        targets=float(targets),
        inputs=sum(found.size.numel() for found in given) * unit_steps,
        outputs=batch * steps * targets * unit_steps,
        graded=any(found.kind != "spikes" for found in given),
        steps=steps * unit_steps,
        timeline=spread(timeline, unit_steps),
    )


def _events(scene: Scene, sizes: list[Tensor]) -> float:
    """Return all spikes of query, key and value, which mostly are those of one layer of neurons."""
    fired, first = scene.fired, sizes[0].untyped_storage().data_ptr()
    if (
        fired is not None
        and fired.unchanged
        and fired.spikes.numel() == sum(size.numel() for size in sizes)
        and all(size.untyped_storage().data_ptr() == first for size in sizes)
        and fired.spikes.data_ptr() == first
    ):
        return sum(fired.timeline)
    return sum(sum(over_time(size)) for size in sizes)


def _ssa(query: Tensor, key: Tensor, value: Tensor, causal: bool) -> tuple[Tensor, int]:
    """Return the additions of "ssa", (b, t, ...), and the full products' operations for a head."""
    (queries, keys), channels = (query.shape[2], key.shape[2]), query.shape[4]
    wide = value.shape[4]
    if causal:
        # A key meets the queries from its own on, and so does its value.
        first = (query * key.cumsum(2)).flatten(2)
        later = torch.arange(keys, 0, -1, device=value.device).view(-1, 1, 1)
        second = (value * later).flatten(2)
        return torch.cat([first, second], dim=2), queries * (queries + 1) * (channels + wide) // 2
    if keys_meet_values_first(query, key, value):
        first = (key.sum(4) * value.sum(4)).flatten(2)
        second = (query * wide).flatten(2)
        return torch.cat([first, second], dim=2), (queries + keys) * channels * wide
    first = (query.sum(2) * key.sum(2)).flatten(2)
    second = (value * queries).flatten(2)
    return torch.cat([first, second], dim=2), queries * keys * (channels + wide)


def fused_attention(scene: Scene, args: Sequence[Any], spikes: Tensor) -> list[LayerCounts]:
    """Count `spikeformer::spike_attention` from its arguments and its result.

    What leaves "qk_token" and "sdsa" are spikes that a gate let through, so the gates, which are
    few, are computed once more.
    """
    query, key, value, membrane, adaptation = args[:5]
    neuron, mechanism, causal = args[5:13], args[13], args[15]
    fired, additions = spikes, None
    if mechanism != "ssa":
        # Sums over a short axis are several times faster in contiguous memory.
        current = attention_current(
            query.contiguous(), key, value, mechanism=mechanism, scale=1.0, causal=causal
        )
        states = (None if x is None else x.flatten(1) for x in (membrane, adaptation))
        fired, *_ = torch.ops.spikeformer.lif(current.flatten(2), *states, *neuron, True)
        additions = current[:, :, -1] if mechanism == "sdsa" else current
    products = attention_products(
        scene, query, key, value, mechanism, causal, binary=True, additions=additions
    )
    timeline = over_time(fired)
    neurons = neuron_layer(
        scene.layer,
        updates=fired.numel(),
        spikes=sum(timeline),
        neurons=fired[0, 0].numel(),
        states=1 if adaptation is None else 2,
        steps=query.shape[1],
        timeline=timeline,
    )
    return [products, neurons]
