"""What spikes do: firing rates, silent and saturated neurons, synaptic operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikeformer import lazily

if TYPE_CHECKING:
    from spikeformer.metrics.activity import FiringRate, SaturatedNeurons, SilentNeurons
    from spikeformer.metrics.labels import metric_label
    from spikeformer.metrics.synops import (
        SynapticOperations,
        fan_out,
        spread_of_inputs,
        window_reach,
    )
else:
    __getattr__, __dir__ = lazily(__name__)

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
