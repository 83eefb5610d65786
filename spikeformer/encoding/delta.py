"""Delta coding: spikes carry changes, upward and downward."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from spikeformer.encoding.base import SpikeEncoder
from spikeformer.error_handling import check_positive
from spikeformer.ops.spike_encode import spike_encode


class DeltaCoding(SpikeEncoder):
    r"""Send-on-delta coding: a spike of sign ±1 whenever the tracked value lags by a threshold.

    With a tracker r that starts at 0::

        s[t] = sign(x[t] - r[t-1]) if |x[t] - r[t-1]| >= threshold else 0
        r[t] = r[t-1] + threshold * s[t]

    A constant input fires until the tracker has caught up and then falls silent. `encode` holds
    each value for `timesteps` steps; `encode_sequence` takes a signal that has a time axis.

    Args:
        timesteps: Length of the spike trains, in steps of 1 ms.
        threshold: Change that one spike stands for; above 0.
        clamp: What happens to values outside [-1, 1]: False raises, True clamps them.
        backend: Kernel: "auto", "reference", "cpu" or "triton".

    Source: Miskowicz, *Send-on-delta concept*, 2006, doi:10.3390/s6010049.
    """

    valid_range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def __init__(
        self,
        timesteps: int = 32,
        threshold: float = 0.1,
        *,
        clamp: bool = False,
        backend: str = "auto",
    ) -> None:
        super().__init__(timesteps, clamp=clamp, backend=backend)
        self.threshold = check_positive("threshold", threshold)

    def spikes(self, x: Tensor) -> Tensor:
        """Return signed spikes of a held value, shape (batch, timesteps, *input_shape)."""
        return self._encode(x, self.timesteps)

    def encode_sequence(self, signal: Tensor) -> Tensor:
        """Return signed spikes for a signal of shape (batch, timesteps, *features)."""
        return self._encode(signal, None)

    def _encode(self, x: Tensor, timesteps: int | None) -> Tensor:
        return spike_encode(
            x, timesteps, code="delta", threshold=self.threshold, backend=self.backend
        )
