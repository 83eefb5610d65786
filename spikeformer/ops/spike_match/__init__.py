"""In how many of their unit spikes two integer neurons fire together."""

from spikeformer.ops.spike_match.op import spike_match

__all__ = ["spike_match"]
