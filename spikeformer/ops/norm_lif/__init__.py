"""Batch norm followed by leaky integrate-and-fire, in one pass over memory."""

from spikeformer.ops.norm_lif.op import norm_lif

__all__ = ["norm_lif"]
