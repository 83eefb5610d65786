"""Energy: what a network did, what that costs, and what a counter measured."""

from spikeformer.profiling.chips import CHIPS, Chip, IdlePower, Placement
from spikeformer.profiling.cmos import PRECISIONS, Cmos45, Precision, quantized
from spikeformer.profiling.counts import (
    LayerCounts,
    OperationCounts,
    dense_layer,
    event_layer,
    neuron_layer,
)
from spikeformer.profiling.estimate import TECHNOLOGIES, EnergyEstimate, estimate
from spikeformer.profiling.ranges import Cost, Range
from spikeformer.profiling.technology import Technology

__all__ = [
    "CHIPS",
    "PRECISIONS",
    "TECHNOLOGIES",
    "Chip",
    "Cmos45",
    "Cost",
    "EnergyEstimate",
    "IdlePower",
    "LayerCounts",
    "OperationCounts",
    "Placement",
    "Precision",
    "Range",
    "Technology",
    "dense_layer",
    "estimate",
    "event_layer",
    "neuron_layer",
    "quantized",
]
