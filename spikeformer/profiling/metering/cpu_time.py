"""CPU time, as a stand-in for energy where nothing can be measured."""

from __future__ import annotations

import time
from typing import ClassVar, Literal

from spikeformer.error_handling import check_positive
from spikeformer.profiling.metering.counter import EnergyCounter


class CpuTimeCounter(EnergyCounter):
    """CPU time of this process times an assumed power of a busy core: a proxy, not a measurement.

    It tells whether one run keeps the CPU busier than another, and nothing about watts.

    Args:
        watts_per_core: Assumed power of a busy core in W.
    """

    kind: ClassVar[Literal["measured", "proxy"]] = "proxy"
    resolution_seconds = 0.0

    def __init__(self, watts_per_core: float = 10.0) -> None:
        self._watts = check_positive("watts_per_core", watts_per_core)
        self._start = time.process_time()
        self.source = f"CPU time of this process x {watts_per_core:g} W for a busy core (assumed)"

    def read(self) -> float:
        """Return CPU seconds since the counter was made, in J of the assumed power."""
        return (time.process_time() - self._start) * self._watts
