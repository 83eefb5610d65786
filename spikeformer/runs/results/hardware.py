"""The network on a chip: equal to PyTorch, and what it takes there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from spikeformer.hardware import ArithmeticComparison, Measurement, PlacementPlan
from spikeformer.runs.results.result import Result


@dataclass(frozen=True)
class VerificationResults(Result):
    """The network's spike graph against the network, spike for spike.

    Attributes:
        graph: PyTorch in float64 against the graph in NumPy.
        float32: PyTorch in float64 against PyTorch in float32.
    """

    file: ClassVar[str] = "hardware/equivalence.json"

    graph: ArithmeticComparison
    float32: ArithmeticComparison

    def numbers(self) -> dict[str, Any]:
        """Return what was compared, and how often it differs."""
        return {
            "samples": self.graph.samples,
            "mismatches": self.graph.mismatches,
            "compared": self.graph.compared,
            "float32_mismatches": self.float32.mismatches,
        }


@dataclass(frozen=True)
class HardwareResults(Measurement, Result):
    """What the deploy stage measured on a target.

    Attributes:
        accuracy_before: Accuracy in the target's arithmetic before fine-tuning, where there was
            any.
    """

    file: ClassVar[str] = "results/hardware.json"

    accuracy_before: float | None = None

    def numbers(self) -> dict[str, Any]:
        """Return the numbers that stand for the whole; the last comparison is the chip's."""
        first, *others = self.comparisons
        placed = self.placement
        return {
            "samples": self.samples,
            "mismatches": first.mismatches,
            "accuracy": self.accuracy["chip"],
            "accuracy_pytorch": self.accuracy["pytorch"],
            "agreement": self.agreement,
            **self.traffic,
            **({"chip_mismatches": others[-1].mismatches} if others else {}),
            **({"cores": placed.num_cores, "chips": placed.num_chips} if placed else {}),
        }


@dataclass(frozen=True)
class PlanResults(PlacementPlan, Result):
    """What the plan stage estimated."""

    file: ClassVar[str] = "results/plan.json"

    def numbers(self) -> dict[str, Any]:
        """Return what the network takes, and what crosses from chip to chip in a timestep."""
        return {
            "chips": len(self.chips),
            "cores": self.num_cores,
            "neurons": self.num_neurons,
            "synapses": self.num_synapses,
            "packets_per_step": self.packets,
            "crossing_per_step": self.crossing,
        }
