"""What a sample takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypedDict, cast

from spikeformer.profiling import BreakEven, ComparisonRow, EnergyEstimate, break_even
from spikeformer.runs.results.result import Result

if TYPE_CHECKING:
    from spikeformer.profiling import EnergyProfiler, EnergyRecording


class EnergyMetrics(TypedDict):
    """What `EnergyRecording.get_metrics` says, but for `uncounted`."""

    energy_per_sample_uj: float
    energy_per_sample_low_uj: float
    energy_per_sample_high_uj: float
    energy_total_uj: float
    samples: int
    timesteps: int
    synaptic_operations: float
    macs: float
    acs: float
    dense_operations: float
    neuron_updates: float
    memory_accesses: float
    firing_rate: float | None
    sparsity: float
    footprint_bytes: float
    connection_sparsity: float
    kind: str
    backend: str
    source: str


@dataclass(frozen=True)
class EnergyResults(Result):
    """What the profile stage found for one sample of the test split.

    Attributes:
        metrics: Energies in µJ, operations, `kind` ("estimate" or "measured"), `source` and so on.
        modelled: The modelled energy by purpose and layer, whatever a counter measured.
        table: One record for each layer: its kind, operations and energies.
        comparison: The network beside its ANN and quantised baselines.
        verdict: Sentences on who wins.
        comparison_source: Publications behind the comparison.
        break_even: The network on each technology beside its quantised ANN, if it fired.
        unpriced: Values that went through operations without a published energy.
        uncounted: What ran and was not counted, with its share of the time.
    """

    file: ClassVar[str] = "results/energy.json"

    metrics: EnergyMetrics
    modelled: EnergyEstimate
    table: list[dict[str, Any]]
    comparison: list[ComparisonRow]
    verdict: list[str]
    comparison_source: str
    break_even: list[BreakEven]
    unpriced: dict[str, int]
    uncounted: dict[str, float]

    @classmethod
    def compares(cls, name: str) -> bool:
        """Whether it is the energy of a sample, or one of its bounds."""
        return name.startswith("energy_per_sample_")

    @classmethod
    def of(cls, profiler: EnergyProfiler, recording: EnergyRecording) -> Self:
        """Return the result of a recording of one network."""
        work = recording.works[0]
        comparison = profiler.compare([work.model])
        metrics = recording.get_metrics()
        uncounted = metrics.pop("uncounted")
        return cls(
            metrics=cast(EnergyMetrics, metrics),
            modelled=recording.estimate,
            table=[
                {str(key): value for key, value in row.items()}
                for row in recording.to_pandas().to_dict("records")
            ],
            comparison=list(comparison.rows),
            verdict=comparison.verdict(),
            comparison_source=comparison.source,
            break_even=break_even(recording.counts),
            unpriced=dict(work.unpriced),
            uncounted=uncounted,
        )

    def numbers(self) -> dict[str, Any]:
        """Return the metrics."""
        return dict(self.metrics)
