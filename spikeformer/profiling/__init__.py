"""Energy: what a network did, what that costs, and what a counter measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikeformer import lazily

if TYPE_CHECKING:
    from spikeformer.profiling.counting.counter import OperationCounter
    from spikeformer.profiling.counting.counts import (
        LayerCounts,
        OperationCounts,
        dense_layer,
        event_layer,
        neuron_layer,
    )
    from spikeformer.profiling.counting.work import NetworkWork
    from spikeformer.profiling.metering.power import (
        PowerAnalysis,
        PowerMonitor,
        PowerRecording,
        power_backends,
    )
    from spikeformer.profiling.pricing.baselines import ann_equivalent, equivalent_bits
    from spikeformer.profiling.pricing.break_even import BreakEven, break_even
    from spikeformer.profiling.pricing.chips import Chip, IdlePower, Occupancy
    from spikeformer.profiling.pricing.cmos import PRECISIONS, Cmos45, Precision, quantized
    from spikeformer.profiling.pricing.comparison import (
        ComparisonReport,
        ComparisonRow,
        compare_counts,
    )
    from spikeformer.profiling.pricing.costs import Cost, Range, energy_text
    from spikeformer.profiling.pricing.estimate import EnergyEstimate, estimate
    from spikeformer.profiling.pricing.technology import (
        TECHNOLOGIES,
        Technology,
        register_technologies,
    )
    from spikeformer.profiling.pricing.timeline import energy_by_step
    from spikeformer.profiling.profiler import EnergyProfiler, profiler_backends
    from spikeformer.profiling.recording import EnergyRecording
else:
    __getattr__, __dir__ = lazily(__name__)

__all__ = [
    "PRECISIONS",
    "TECHNOLOGIES",
    "BreakEven",
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
    "Occupancy",
    "OperationCounter",
    "OperationCounts",
    "PowerAnalysis",
    "PowerMonitor",
    "PowerRecording",
    "Precision",
    "Range",
    "Technology",
    "ann_equivalent",
    "break_even",
    "compare_counts",
    "dense_layer",
    "energy_by_step",
    "energy_text",
    "equivalent_bits",
    "estimate",
    "event_layer",
    "neuron_layer",
    "power_backends",
    "profiler_backends",
    "quantized",
    "register_technologies",
]
