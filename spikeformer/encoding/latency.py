"""Latency coding: the time of the only spike carries the value."""

from __future__ import annotations

from torch import Tensor

from spikeformer.encoding.base import SpikeEncoder
from spikeformer.ops.spike_encode import spike_encode


class LatencyCoding(SpikeEncoder):
    r"""Time-to-first-spike coding: the larger the value, the earlier its only spike.

    A value x in (0, 1] fires once, at step `round((1 - x) * (timesteps - 1))`; zero never fires.

    Source: Thorpe, Delorme & Van Rullen, *Spike-based strategies for rapid processing*, 2001,
    doi:10.1016/S0893-6080(01)00083-1.
    """

    def spikes(self, x: Tensor) -> Tensor:
        """Return one spike per positive value, shape (batch, timesteps, *input_shape)."""
        return spike_encode(x, self.timesteps, code="latency", backend=self.backend)
