"""Energy of networks: the public entry."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import nn

from spikeformer.config import registered
from spikeformer.data.batch import Inputs, call, unlabelled
from spikeformer.error_handling import (
    ArgumentError,
    BackendUnavailableError,
    MissingDependencyError,
    ProfilingError,
    check_choice,
    check_positive_int,
)
from spikeformer.i18n import t
from spikeformer.profiling.counting.counts import OperationCounts
from spikeformer.profiling.counting.timing import Declared
from spikeformer.profiling.counting.work import NetworkWork
from spikeformer.profiling.metering import COUNTERS
from spikeformer.profiling.pricing.comparison import ComparisonReport, compare_counts
from spikeformer.profiling.pricing.technology import TECHNOLOGIES
from spikeformer.profiling.recording import EnergyRecording

log = logging.getLogger(__name__)

MEASURED_BACKENDS = ("pyjoules", "nvml")


def profiler_backends() -> tuple[str, ...]:
    """Return what a profiler can tell energy by."""
    return (*TECHNOLOGIES, *MEASURED_BACKENDS, "auto")


@registered
class EnergyProfiler:
    """Tells the energy of networks: modelled from their operations, or measured by a counter.

    - "simulation" prices arithmetic, memory and addressing in 45 nm;
    - the name of a chip prices synaptic operations, neuron updates and messages by what was
      published of it;
    - "pyjoules" reads the energy counters of CPU and memory (RAPL), "nvml" those of GPUs;
    - "auto" measures if there is a counter, else it says so and takes "simulation".

    Every number comes with its bounds, its kind ("estimate" or "measured") and its source.

    Args:
        backend: One of `profiler_backends()`.

    Raises:
        ArgumentError: There is no such backend.

    Example:
        >>> import torch
        >>> from spikeformer import SpikingViT
        >>> model = SpikingViT(image_size=8, d_model=16, nhead=2, num_layers=1).eval()
        >>> profiler = EnergyProfiler(backend="simulation")
        >>> with profiler.measure() as recording:
        ...     outputs = model(torch.rand(2, 3, 8, 8))
        >>> metrics = recording.get_metrics()
        >>> metrics["samples"], metrics["kind"], metrics["energy_per_sample_uj"] > 0
        (2, 'estimate', True)
    """

    def __init__(self, backend: str = "simulation") -> None:
        self.backend = check_choice("backend", backend, profiler_backends())
        self._models: tuple[nn.Module, ...] = ()
        # The models are kept with their counts, so that no other can take the same identity.
        self._measured: dict[int, NetworkWork] = {}

    def attach(self, *models: nn.Module) -> Self:
        """Count only these models from now on; none counts every model that runs.

        Raises:
            ArgumentError: One of them is no module.
        """
        for model in models:
            if not isinstance(model, nn.Module):
                raise ArgumentError("models", type(model).__name__, "instances of torch.nn.Module")
        self._models = models
        return self

    def check_available(self) -> None:
        """Raise an error if the backend cannot work on this machine; costs next to nothing.

        Raises:
            BackendUnavailableError: There is no counter, or this user may not read it.
            MissingDependencyError: A package is not installed.
        """
        if self.backend in MEASURED_BACKENDS:
            COUNTERS[self.backend]().close()

    def measure(
        self,
        *,
        time_axis: int | None = None,
        timesteps: int | None = None,
        passes: int | None = None,
    ) -> EnergyRecording:
        """Return a recording to be used in a `with` block.

        Models are found by hooks on every forward pass inside the block; nothing stays behind, also
        when the block raises an error. Samples and timesteps show in the neurons, ours and those of
        SpikingJelly, snnTorch, Norse and sinabs (`spikeformer.instrument.recognises` adds others);
        where they do not, the recording asks for what is to be said here.

        Args:
            time_axis: Axis of time in the networks' inputs: 0 for (timesteps, batch, ...), 1 for
                (batch, timesteps, ...); None where neurons tell, or there is none.
            timesteps: Timesteps of a sample; None where neurons or `time_axis` tell.
            passes: Count the operations of so many forward passes of each network, and of the later
                ones the samples alone, which costs them less; None counts all, and where a counter
                of the machine measures energy the first one.

        Raises:
            ArgumentError: `passes` is no positive number.
            BackendUnavailableError: On entering: the counter is absent or may not be read.
            ProfilingError: On entering: another measurement is going on.
        """
        backend, open_counter = self.backend, self._counter()
        technology = TECHNOLOGIES.get(backend, TECHNOLOGIES["simulation"])
        time = Declared(time_axis, timesteps)
        if passes is not None:
            check_positive_int("passes", passes)
        return EnergyRecording(
            backend, technology, self._models, open_counter, self._remember, time, passes
        )

    def _counter(self) -> Any:
        if self.backend != "auto":
            return COUNTERS[self.backend] if self.backend in MEASURED_BACKENDS else None
        for name in MEASURED_BACKENDS:
            try:
                COUNTERS[name]().close()
            except (BackendUnavailableError, MissingDependencyError):
                continue
            return COUNTERS[name]
        log.warning(t("profiling.using_model"))
        return None

    def _remember(self, works: Sequence[NetworkWork]) -> None:
        self._measured |= {id(work.model): work for work in works}

    def compare(
        self,
        models: Sequence[nn.Module] | Mapping[str, nn.Module],
        *,
        inputs: Inputs | None = None,
        time_axis: int | None = None,
        timesteps: int | None = None,
    ) -> ComparisonReport:
        """Put networks side by side with their ANN and quantised baselines.

        Every spiking network gets a row for itself in full precision and with 8-bit weights; beside
        it stand an ANN and that ANN at `ceil(log2(T + 1))` bits. ANNs are those among `models`; if
        there are none, they are the spiking ones with their layers run once on real numbers. All
        of it is modelled in 45 nm, the one technology that runs all.

        Args:
            models: Networks in the order of the table, perhaps by name.
            inputs: A batch to run them on; None takes what was
                counted of them in the last `measure` block.
            time_axis: Axis of time in `inputs`, as for `measure`.
            timesteps: Timesteps of a sample, as for `measure`.

        Raises:
            ProfilingError: A network has never run, and there are no `inputs`.
            ArgumentError: There is no network.
        """
        named = dict(models) if isinstance(models, Mapping) else _named(models)
        if not named:
            raise ArgumentError("models", models, "at least one torch.nn.Module")
        if inputs is not None:
            self._run(list(named.values()), unlabelled(inputs), Declared(time_axis, timesteps))
        return compare_counts({name: self._counts(name, model) for name, model in named.items()})

    def _run(self, models: Sequence[nn.Module], inputs: Inputs, time: Declared) -> None:
        simulation = EnergyProfiler("simulation").attach(*models)
        for model in models:
            training = model.training
            try:
                with torch.no_grad(), simulation.measure(**vars(time)):
                    model.eval()
                    call(model, inputs)
            finally:
                model.train(training)
        self._measured |= simulation._measured

    def _counts(self, name: str, model: nn.Module) -> OperationCounts:
        if id(model) not in self._measured:
            raise ProfilingError(t("profiling.not_measured", name=name))
        return self._measured[id(model)].counts()


def _named(models: Sequence[nn.Module]) -> dict[str, nn.Module]:
    """Name models by their class, with a number where that is not unique."""
    named: dict[str, nn.Module] = {}
    for model in models:
        if not isinstance(model, nn.Module):
            raise ArgumentError("models", type(model).__name__, "instances of torch.nn.Module")
        name = type(model).__name__
        same = sum(key.partition(" ")[0] == name for key in named)
        named[f"{name} {same + 1}" if same else name] = model
    return named
