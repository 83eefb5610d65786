"""Lowering: from a network to its spike graph, by one rule for each type of layer."""

from spikeformer.hardware.lowering.builder import GraphBuilder
from spikeformer.hardware.lowering.converted import lower_converted
from spikeformer.hardware.lowering.lower import InputShape, Lowered, lower
from spikeformer.hardware.lowering.registry import check_supported, lowers, obstacles, refuses
from spikeformer.hardware.lowering.traced import Rows, TracedTensor

__all__ = [
    "GraphBuilder",
    "InputShape",
    "Lowered",
    "Rows",
    "TracedTensor",
    "check_supported",
    "lower",
    "lower_converted",
    "lowers",
    "obstacles",
    "refuses",
]
