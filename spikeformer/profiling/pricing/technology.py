"""What prices operations: an interface with one digital and several neuromorphic answers."""

from __future__ import annotations

from abc import ABC, abstractmethod

from spikeformer.profiling.counting.counts import LayerCounts
from spikeformer.profiling.pricing.costs import Cost, Range


class Technology(ABC):
    """Something that runs a network and whose operations have prices."""

    name: str
    """How reports call it."""

    @property
    @abstractmethod
    def costs(self) -> dict[str, Cost]:
        """Every constant in use, by what it pays for."""

    @abstractmethod
    def price(self, layer: LayerCounts, samples: int) -> dict[str, Range]:
        """Return what a layer cost by purpose ("compute", "memory", ...), in pJ.

        Args:
            layer: Its counts over all samples.
            samples: How many those are.
        """

    def uncovered_macs(self, layer: LayerCounts) -> float:
        """Return how many operations cannot run here, so that `price` leaves them out."""
        return 0.0

    @property
    def source(self) -> str:
        """All publications in one line."""
        return "; ".join(dict.fromkeys(cost.source for cost in self.costs.values()))
