"""Leaky integrate-and-fire over time."""

from spikeformer.ops.lif.dynamics import RESETS, Dynamics, LifArguments
from spikeformer.ops.lif.op import lif
from spikeformer.ops.lif.reference import LifState

__all__ = ["RESETS", "Dynamics", "LifArguments", "LifState", "lif"]
