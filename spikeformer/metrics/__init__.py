"""What spikes do: firing rates, silent and saturated neurons, synaptic operations."""

from spikeformer.metrics.activity import FiringRate, SaturatedNeurons, SilentNeurons, metric_label
from spikeformer.metrics.synops import SynapticOperations, fan_out, spread_of_inputs, window_reach

__all__ = [
    "FiringRate",
    "SaturatedNeurons",
    "SilentNeurons",
    "SynapticOperations",
    "fan_out",
    "metric_label",
    "spread_of_inputs",
    "window_reach",
]
