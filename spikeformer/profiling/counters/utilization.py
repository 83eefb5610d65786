"""CPU time, as a stand-in for energy where nothing can be measured."""

from __future__ import annotations

import os
from typing import ClassVar, Literal

from spikeformer.error_handling import MissingDependencyError, check_positive
from spikeformer.profiling.counters._counter import EnergyCounter


class UtilizationCounter(EnergyCounter):
    """CPU time of this process times an assumed power of a busy core: a proxy, not a measurement.

    It tells whether one run keeps the CPU busier than another, and nothing about watts.

    Args:
        watts_per_core: Assumed power of a busy core in W.

    Raises:
        MissingDependencyError: psutil is not installed.
    """

    kind: ClassVar[Literal["measured", "proxy"]] = "proxy"
    resolution_seconds = 0.01

    def __init__(self, watts_per_core: float = 10.0) -> None:
        try:
            import psutil
        except ImportError as error:
            raise MissingDependencyError(
                'Watching CPU time needs psutil: pip install "spikeformer[energy]".'
            ) from error
        self._watts = check_positive("watts_per_core", watts_per_core)
        self._process = psutil.Process(os.getpid())
        self._start = self._seconds()
        self.source = f"CPU time of this process x {watts_per_core:g} W for a busy core (assumed)"

    def _seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def read(self) -> float:
        """Return CPU seconds since the counter was made, in J of the assumed power."""
        return (self._seconds() - self._start) * self._watts
