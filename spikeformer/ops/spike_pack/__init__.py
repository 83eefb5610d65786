"""Binary spikes at one bit each."""

from spikeformer.ops.spike_pack.op import SpikeLayout, spike_pack, spike_unpack

__all__ = ["SpikeLayout", "spike_pack", "spike_unpack"]
