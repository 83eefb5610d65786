from __future__ import annotations

import time

import numpy as np

from spikeformer.error_handling import (
    BackendUnavailableError,
)
from spikeformer.profiling.metering import EnergyCounter
from spikeformer.profiling.metering.sampler import Sampler


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


def test_a_long_recording_thins_itself_out_and_loses_no_energy():
    class Fast(Steady):
        def read(self):
            self.readings += 1
            return float(self.readings - 1)

    sampler = Sampler(Fast(), rate_hz=1000, max_samples=8)
    for _ in range(101):
        sampler._read()
    assert len(sampler.energies) < 8
    assert (sampler.energies[0], sampler.energies[-1]) == (0, 100)
    assert sampler._period > 0.001
    assert (np.diff(sampler.timestamps) >= 0).all()
