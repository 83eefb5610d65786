"""Energy: what a network did, what that costs, and what a counter measured."""

from spikeformer.profiling._work import NetworkWork
from spikeformer.profiling.baselines import equivalent_bits, ordinary_equivalent
from spikeformer.profiling.chips import CHIPS, Chip, IdlePower, Placement
from spikeformer.profiling.cmos import PRECISIONS, Cmos45, Precision, quantized
from spikeformer.profiling.comparison import ComparisonReport, ComparisonRow, compare_counts
from spikeformer.profiling.counter import OperationCounter
from spikeformer.profiling.counts import (
    LayerCounts,
    OperationCounts,
    dense_layer,
    event_layer,
    neuron_layer,
)
from spikeformer.profiling.estimate import TECHNOLOGIES, EnergyEstimate, estimate
from spikeformer.profiling.power import POWER_BACKENDS, PowerAnalysis, PowerMonitor, PowerRecording
from spikeformer.profiling.profiler import BACKENDS, EnergyProfiler
from spikeformer.profiling.ranges import Cost, Range
from spikeformer.profiling.recording import EnergyRecording
from spikeformer.profiling.technology import Technology
from spikeformer.profiling.timeline import energy_by_step

__all__ = [
    "BACKENDS",
    "CHIPS",
    "POWER_BACKENDS",
    "PRECISIONS",
    "TECHNOLOGIES",
    "Chip",
    "Cmos45",
    "ComparisonReport",
    "ComparisonRow",
    "Cost",
    "EnergyEstimate",
    "EnergyProfiler",
    "EnergyRecording",
    "IdlePower",
    "LayerCounts",
    "NetworkWork",
    "OperationCounter",
    "OperationCounts",
    "Placement",
    "PowerAnalysis",
    "PowerMonitor",
    "PowerRecording",
    "Precision",
    "Range",
    "Technology",
    "compare_counts",
    "dense_layer",
    "energy_by_step",
    "equivalent_bits",
    "estimate",
    "event_layer",
    "neuron_layer",
    "ordinary_equivalent",
    "quantized",
]
