from __future__ import annotations

import numpy as np

from spikeformer.profiling.metering.sampler import Sampler
from tests.profiling.metering.steady import Steady


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
