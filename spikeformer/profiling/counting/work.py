"""What networks did while a counter watched."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import nn

from spikeformer.error_handling import ProfilingError
from spikeformer.profiling.counting.counts import LayerCounts, OperationCounts
from spikeformer.profiling.counting.scene import NetworkFacts


@dataclass
class NetworkWork:
    """What one network did.

    Attributes:
        model: The network.
        network: What is known of it.
        samples: Samples that went through it.
        counted_samples: Those of them whose operations were counted.
        layers: Counts of every layer, in the order in which they ran first.
        unpriced: Values that went through operations without a price, by what they are called.
        ran: Layers with weights that ran.
    """

    model: nn.Module
    network: NetworkFacts
    samples: int = 0
    counted_samples: int = 0
    passes: int = 0
    layers: dict[tuple[str, str], list[LayerCounts]] = field(default_factory=dict)
    unpriced: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    ran: set[str] = field(default_factory=set)

    def add(self, counts: LayerCounts) -> None:
        """Keep one operation's counts; many of one layer are summed up from time to time."""
        parts = self.layers.setdefault((counts.name, counts.kind), [])
        parts.append(counts)
        if len(parts) > 256:
            parts[:] = [LayerCounts.merged(parts)]

    def counts(self) -> OperationCounts:
        """Return everything counted so far."""
        layers = tuple(LayerCounts.merged(parts) for parts in self.layers.values())
        return OperationCounts(layers, max(1, self.counted_samples), type(self.model).__name__)

    def uncounted(self) -> list[str]:
        """Return layers with weights that ran and of which nothing was counted."""
        return sorted(self.ran - {name for name, _ in self.layers})


def combined(works: Sequence[NetworkWork]) -> OperationCounts:
    """Return what several networks did as the counts of one.

    They are taken as parts of one pipeline, as an encoder and a classifier are: its samples are
    those of the network that saw most.

    Raises:
        ProfilingError: No network ran.
    """
    if not works:
        raise ProfilingError(
            "Nothing was measured: no network ran inside the block. Call the model itself, as "
            "in `model(batch)`; hooks do not see calls of its methods."
        )
    parts = [work.counts() for work in works]
    if len(parts) == 1:
        return parts[0]
    layers = [
        replace(layer, name=f"{number}.{part.name}.{layer.name}")
        for number, part in enumerate(parts)
        for layer in part.layers
    ]
    samples = max(part.samples for part in parts)
    return OperationCounts(tuple(layers), samples, " + ".join(part.name for part in parts))
