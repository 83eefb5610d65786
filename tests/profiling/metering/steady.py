"""A counter that needs no hardware."""

from __future__ import annotations

import time

from spikeformer.error_handling import BackendUnavailableError
from spikeformer.profiling.metering import EnergyCounter


class Steady(EnergyCounter):
    """Counts 5 J every second, or fails after so many readings."""

    source, resolution_seconds = "a test", 0.001
    fails_after = 10**9

    def __init__(self):
        self.readings, self.closed = 0, 0

    def read(self):
        self.readings += 1
        if self.readings > self.fails_after:
            raise BackendUnavailableError("The counter has gone.")
        return 5.0 * time.perf_counter()

    def close(self):
        self.closed += 1
