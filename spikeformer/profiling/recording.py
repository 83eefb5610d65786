"""What a measured block gives back."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from spikeformer.error_handling import ProfilingError
from spikeformer.i18n import t
from spikeformer.profiling.counting.counter import OperationCounter
from spikeformer.profiling.counting.counts import OperationCounts
from spikeformer.profiling.counting.timing import Declared
from spikeformer.profiling.counting.work import NetworkWork, combined
from spikeformer.profiling.metering import EnergyCounter
from spikeformer.profiling.metering.sampler import Sampler, claim, release
from spikeformer.profiling.pricing.costs import Range
from spikeformer.profiling.pricing.estimate import EnergyEstimate, estimate
from spikeformer.profiling.pricing.technology import Technology

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

# Often enough that no counter goes round twice unseen, rarely enough to cost nothing.
_READINGS_PER_SECOND = 10


class EnergyRecording:
    """Energy of what ran in a `with` block; made by `EnergyProfiler.measure`.

    Where a counter of the machine measures energy, operations are counted in the first forward pass
    alone unless `passes` asks for more, so that counting is no part of what is measured.
    """

    def __init__(
        self,
        backend: str,
        technology: Technology,
        models: tuple[nn.Module, ...],
        open_counter: Callable[[], EnergyCounter] | None,
        finished: Callable[[list[NetworkWork]], None],
        time: Declared,
        passes: int | None = None,
    ) -> None:
        self.backend = backend
        self._technology = technology
        self._models = models
        self._open_counter = open_counter
        self._finished = finished
        self._time, self._passes = time, passes
        self._counter: OperationCounter | None = None
        self._sampler: Sampler | None = None
        self._state = "new"

    def __enter__(self) -> Self:
        if self._state != "new":
            raise ProfilingError("A recording is made once; call `measure()` for a new one.")
        claim(self)
        try:
            if self._open_counter is not None:
                self._sampler = Sampler(self._open_counter(), _READINGS_PER_SECOND)
                self._sampler.start()
            passes = self._passes or (None if self._sampler is None else 1)
            self._counter = OperationCounter(
                *self._models, passes=passes, **vars(self._time)
            ).__enter__()
        except BaseException:
            release(self)
            raise
        self._state = "measuring"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._counter is not None
        self._state = "done" if error is None else "failed"
        try:
            self._counter.__exit__(kind, error, traceback)
            if self._sampler is not None:
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                self._sampler.stop()
        finally:
            release(self)
        if error is None:
            self._finished(self._counter.works)

    @property
    def works(self) -> list[NetworkWork]:
        """What each network did.

        Raises:
            ProfilingError: The block is not over, or raised an error.
        """
        if self._state == "failed":
            raise ProfilingError("The measured block raised an error, so its numbers are partial.")
        if self._state != "done" or self._counter is None:
            raise ProfilingError("Ask for the numbers after the `with` block that measures them.")
        return self._counter.works

    @property
    def counts(self) -> OperationCounts:
        """Operations of all networks; their samples may be fewer than went through.

        Raises:
            ProfilingError: Nothing ran.
        """
        return combined(self.works)

    @property
    def uncounted(self) -> dict[str, float]:
        """What ran and was not counted, with its share of the time of its network."""
        return {name: share for work in self.works for name, share in work.uncounted().items()}

    @property
    def samples(self) -> int:
        """Samples that went through, counted or not."""
        return max((work.samples for work in self.works), default=0)

    @property
    def estimate(self) -> EnergyEstimate:
        """The modelled energy of one sample, also where a counter measured it.

        Raises:
            ProfilingError: Nothing ran.
        """
        return estimate(self.counts, self._technology)

    def get_metrics(self) -> dict[str, Any]:
        """Return the numbers as a flat dictionary.

        In µJ: `energy_per_sample_uj`, `energy_per_sample_low_uj`, `energy_per_sample_high_uj` and
        `energy_total_uj`. Of one sample: `synaptic_operations`, `macs` and `acs` (both effective),
        `dense_operations`, `neuron_updates` and `memory_accesses`. In [0, 1]: `firing_rate` (None
        without spiking neurons) and `sparsity`. Of the networks: `timesteps`, `footprint_bytes` and
        `connection_sparsity`. `uncounted` maps what ran and was not counted to its share of the
        time, in [0, 1]. And `samples`, `kind` ("estimate" or "measured"), `backend` and
        `source`.

        Raises:
            ProfilingError: The block is not over, raised an error, or ran no network.
        """
        counts, energy = self.counts, self._energy()
        models = [work.model for work in self.works]
        return {
            "energy_per_sample_uj": energy.value,
            "energy_per_sample_low_uj": energy.low,
            "energy_per_sample_high_uj": energy.high,
            "energy_total_uj": energy.value * self.samples,
            "samples": self.samples,
            "timesteps": counts.timesteps,
            "synaptic_operations": counts.per_sample("synaptic_operations"),
            "macs": counts.per_sample("macs"),
            "acs": counts.per_sample("acs"),
            "dense_operations": counts.per_sample("dense"),
            "neuron_updates": counts.per_sample("neuron_updates"),
            "memory_accesses": counts.per_sample("memory_accesses"),
            "firing_rate": counts.firing_rate,
            "sparsity": counts.sparsity,
            "footprint_bytes": sum(map(footprint, models)),
            "connection_sparsity": connection_sparsity(models),
            "uncounted": self.uncounted,
            "kind": self.kind,
            "backend": self.backend,
            "source": self.source,
        }

    @property
    def kind(self) -> str:
        """How the energy is known: "measured" or "estimate"."""
        return "estimate" if self._sampler is None else self._sampler.counter.kind

    @property
    def source(self) -> str:
        """Where the energy is from."""
        return self.estimate.source if self._sampler is None else self._sampler.counter.source

    def _energy(self) -> Range:
        """Energy of one sample in µJ."""
        if self._sampler is None:
            return self.estimate.energy_uj
        if self._sampler.failure is not None:
            raise ProfilingError(t("profiling.incomplete", reason=self._sampler.failure))
        joules = float(self._sampler.energies[-1])
        seconds = float(self._sampler.timestamps[-1])
        return self._sampler.bounds(joules, seconds) * (1e6 / self.samples)

    def to_pandas(self) -> pd.DataFrame:
        """Return one row for each layer: its operations and modelled energy for one sample.

        What was not counted has rows too, of kind "uncounted", with its `time_share`.
        """
        import pandas as pd

        counts, layers = self.counts, self.estimate.layers
        rows: dict[str, dict[str, Any]] = {}
        for layer in counts.layers:
            row = rows.setdefault(
                layer.name, {"layer": layer.name, "kind": layer.kind, **dict.fromkeys(_COLUMNS, 0)}
            )
            for column in _COLUMNS:
                row[column] += getattr(layer, column) / counts.samples
        for name, row in rows.items():
            energy = layers[name]
            row |= {"energy_uj": energy.value, "low_uj": energy.low, "high_uj": energy.high}
            row["time_share"] = 0.0
        for name, share in self.uncounted.items():
            zeros = dict.fromkeys((*_COLUMNS, "energy_uj", "low_uj", "high_uj"), 0.0)
            rows[name] = {"layer": name, "kind": "uncounted", **zeros, "time_share": share}
        return pd.DataFrame(list(rows.values()))

    def plot(self) -> Figure:
        """Draw the modelled energy of every layer."""
        from spikeformer.profiling.figures import plot_layer_energy

        return plot_layer_energy(self.estimate.layers)


_COLUMNS = (
    "dense",
    "macs",
    "acs",
    "synaptic_operations",
    "neuron_updates",
    "spikes",
    "memory_accesses",
)


def footprint(model: nn.Module) -> int:
    """Return the size of a network's parameters and buffers in bytes."""
    tensors = [*model.parameters(), *model.buffers()]
    return sum(x.numel() * x.element_size() for x in tensors)


def connection_sparsity(models: list[nn.Module]) -> float:
    """Return the share of weights (parameters of two axes or more) that are zero."""
    weights = [p for model in models for p in model.parameters() if p.dim() > 1]
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    return zeros / max(1, sum(weight.numel() for weight in weights))
