from __future__ import annotations

import math

from spikeformer.profiling import (
    equivalent_bits,
)


def test_bits_say_as_much_as_spikes():
    for timesteps in range(1, 200):
        assert 2 ** equivalent_bits(timesteps) >= timesteps + 1
        assert equivalent_bits(timesteps) == math.ceil(math.log2(timesteps + 1))
