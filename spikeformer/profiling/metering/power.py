"""Power over time: sampled from a counter, or replayed from the model of a chip."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from spikeformer.error_handling import (
    ProfilingError,
    check_choice,
    check_positive_int,
)
from spikeformer.i18n import t
from spikeformer.neurons.base import DT_MS
from spikeformer.profiling.counting.counter import OperationCounter
from spikeformer.profiling.counting.work import combined
from spikeformer.profiling.metering import COUNTERS
from spikeformer.profiling.metering.sampler import Sampler, claim, release
from spikeformer.profiling.pricing.costs import Range
from spikeformer.profiling.pricing.estimate import EnergyEstimate, estimate
from spikeformer.profiling.pricing.technology import TECHNOLOGIES
from spikeformer.profiling.pricing.timeline import energy_by_step

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)


def power_backends() -> tuple[str, ...]:
    """Return what a monitor can show: models of chips, then counters of this machine."""
    return (*TECHNOLOGIES, *COUNTERS)


@dataclass(frozen=True)
class PowerAnalysis:
    """A power recording in numbers.

    Attributes:
        average_watts: Energy over duration.
        peak_watts: Highest power between two readings.
        energy_joules: Energy of the whole recording.
        seconds: Its duration.
        energy_per_sample_uj: Energy of one sample, with bounds; None if nobody counted samples.
        readings: Number of power values.
        rate_hz: Readings a second that were reached.
        jitter_ms: Standard deviation of the time between two readings.
        kind: "measured", "proxy" or "estimate".
        source: Where the numbers are from.
    """

    average_watts: float
    peak_watts: float
    energy_joules: float
    seconds: float
    energy_per_sample_uj: Range | None
    readings: int
    rate_hz: float
    jitter_ms: float
    kind: str
    source: str


class PowerRecording:
    """Power while a `with` block ran; made by `PowerMonitor.record`.

    Attributes:
        timestamps: Ends of the intervals, in s since the start, shape (readings,).
        watts: Mean power in each interval, shape (readings,).
        kind: "measured", "proxy" or "estimate" (a model's timeline).
        source: Where the numbers are from.
        interrupted: Why the counter fell silent before the end; None if it did not.
    """

    def __init__(self, backend: str, sampling_rate_hz: int, samples: int | None) -> None:
        self.backend = backend
        self.sampling_rate_hz = sampling_rate_hz
        self.samples = samples
        self.kind = "estimate"
        self.source = ""
        self.timestamps: npt.NDArray[np.float64] = np.empty(0)
        self.watts: npt.NDArray[np.float64] = np.empty(0)
        self.interrupted: str | None = None
        self.estimate: EnergyEstimate | None = None
        self._sampler: Sampler | None = None
        self._counter: OperationCounter | None = None
        self._state = "new"

    def __enter__(self) -> Self:
        if self._state != "new":
            raise ProfilingError("A recording is made once; ask the monitor for a new one.")
        claim(self)
        try:
            if self.backend in COUNTERS:
                self._sampler = Sampler(COUNTERS[self.backend](), self.sampling_rate_hz)
                self._sampler.start()
            else:
                self._counter = OperationCounter().__enter__()
        except BaseException:
            release(self)
            raise
        self._state = "recording"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._state = "done"
        try:
            if self._sampler is not None:
                self._sampler.stop()
                self._keep_readings(self._sampler)
            elif self._counter is not None:
                self._counter.__exit__(kind, error, traceback)
                if error is None:
                    self._replay(self._counter)
        finally:
            release(self)

    def _keep_readings(self, sampler: Sampler) -> None:
        self.kind, self.source = sampler.counter.kind, sampler.counter.source
        times, energies = sampler.timestamps, sampler.energies
        apart = np.diff(times) > 0
        self.timestamps = times[1:][apart]
        self.watts = np.diff(energies)[apart] / np.diff(times)[apart]
        self.interrupted = sampler.failure
        if sampler.failure is not None:
            log.warning(t("profiling.ends_early", reason=sampler.failure))

    def _replay(self, counter: OperationCounter) -> None:
        """Put the samples one after the other, a millisecond for each timestep."""
        counts = combined(counter.works)
        technology = TECHNOLOGIES[self.backend]
        self.estimate = estimate(counts, technology)
        self.samples = counts.samples
        self.source = f"modelled timeline, {DT_MS:g} ms for each timestep: {technology.source}"
        joules = energy_by_step(counts, technology) * 1e-6
        self.watts = np.tile(joules / (DT_MS / 1e3), counts.samples)
        self.timestamps = np.arange(1, self.watts.size + 1, dtype=np.float64) * (DT_MS / 1e3)

    def analyze(self, samples: int | None = None) -> PowerAnalysis:
        """Return average, peak and energy.

        Args:
            samples: Samples processed, for the energy of one; a model counts them itself.

        Raises:
            ProfilingError: The recording is not over, or holds nothing.
        """
        if self._state != "done":
            raise ProfilingError("Analyze a recording after its `with` block.")
        if not self.watts.size:
            raise ProfilingError(
                "The recording is empty: no time passed between two readings of the counter."
                if self._sampler is not None
                else "The recording is empty: the block raised an error."
            )
        periods = np.diff(self.timestamps, prepend=0.0)
        seconds = float(self.timestamps[-1])
        energy = float((self.watts * periods).sum())
        count = samples if samples is not None else self.samples
        return PowerAnalysis(
            average_watts=energy / seconds,
            peak_watts=float(self.watts.max()),
            energy_joules=energy,
            seconds=seconds,
            energy_per_sample_uj=self._energy_per_sample(energy, seconds, count),
            readings=self.watts.size,
            rate_hz=self.watts.size / seconds,
            jitter_ms=float(periods.std()) * 1e3,
            kind=self.kind,
            source=self.source,
        )

    def _energy_per_sample(
        self, energy: float, seconds: float, samples: int | None
    ) -> Range | None:
        if samples is None:
            return None
        check_positive_int("samples", samples)
        if self._sampler is None:
            assert self.estimate is not None
            return self.estimate.energy_uj
        return self._sampler.bounds(energy, seconds) * (1e6 / samples)

    def plot_power_timeline(self) -> Figure:
        """Draw power over time; the title says whether it was measured."""
        from spikeformer.profiling.figures import plot_power_timeline

        analysis = self.analyze()
        return plot_power_timeline(
            self.timestamps, self.watts, f"{self.backend}, {analysis.kind}", analysis.average_watts
        )


class PowerMonitor:
    """Watches power while a block runs.

    The backends of `EnergyProfiler` that model a chip replay its timeline, one millisecond for each
    timestep, and are labelled "estimate". "pyjoules" and "nvml" sample a counter in a thread;
    "cpu_time" samples CPU time, labelled "proxy". Python threads share an interpreter, so readings
    come late while it is busy: `analyze` gives the rate and the jitter that were reached.

    Args:
        backend: One of `power_backends()`.
        sampling_rate_hz: Readings a second; a model takes one for each timestep.

    Raises:
        ArgumentError: There is no such backend, or the rate is not positive.

    Example:
        >>> import torch
        >>> from spikeformer.neurons import LifNeuron
        >>> monitor = PowerMonitor("simulation")
        >>> with monitor.record() as recording:
        ...     spikes = LifNeuron()(torch.rand(2, 4, 100))
        >>> recording.analyze().readings, recording.kind
        (8, 'estimate')
    """

    def __init__(self, backend: str = "loihi2", sampling_rate_hz: int = 1000) -> None:
        self.backend = check_choice("backend", backend, power_backends())
        self.sampling_rate_hz = check_positive_int("sampling_rate_hz", sampling_rate_hz)

    def record(self, *, samples: int | None = None) -> PowerRecording:
        """Return a recording to be used in a `with` block.

        Args:
            samples: Samples that the block processes, if it is known; a model counts them itself.

        Raises:
            SpikeformerError: On entering, if the counter cannot be read or another measurement is
                going on.
        """
        return PowerRecording(self.backend, self.sampling_rate_hz, samples)
