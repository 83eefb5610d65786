"""Spike trains from values."""

from spikeformer.ops.spike_encode.op import spike_encode

__all__ = ["spike_encode"]
