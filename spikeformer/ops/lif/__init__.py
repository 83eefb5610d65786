"""Leaky integrate-and-fire over time."""

from spikeformer.ops.lif.dynamics import RESETS, Dynamics, LifArguments, LifState, zero_state
from spikeformer.ops.lif.op import lif

__all__ = ["RESETS", "Dynamics", "LifArguments", "LifState", "lif", "zero_state"]
