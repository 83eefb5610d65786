"""Batch norm followed by the maximum of neighbours, without the normalised picture between."""

from spikeformer.ops.norm_pool.op import norm_pool

__all__ = ["norm_pool"]
