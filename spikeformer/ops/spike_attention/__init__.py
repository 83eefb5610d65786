"""Attention between spikes, without softmax, together with the neurons behind it."""

from spikeformer.ops.spike_attention.op import MECHANISMS, spike_attention
from spikeformer.ops.spike_attention.reference import (
    attention_current,
    attention_output,
    coincidence,
)

__all__ = [
    "MECHANISMS",
    "attention_current",
    "attention_output",
    "coincidence",
    "spike_attention",
]
