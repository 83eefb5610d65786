"""A LIF neuron whose threshold holds a firing rate."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from spikeformer.error_handling import check_positive, check_positive_int
from spikeformer.neurons import LifNeuron, LifState, Norm
from spikeformer.research.adaptive_threshold import (
    ThresholdState,
    check_target_rate,
    initial_state,
)


class AdaptiveThresholdNeuron(LifNeuron):
    """LIF neurons with one threshold a layer, which moves so that the layer fires at a target rate.

    The equation is that of `AdaptiveSpikeThreshold`, with the membrane of `LifNeuron`. Within a
    call the threshold stands still, so that the fast kernels serve; after it, the window moves on
    by the call's timesteps. It learns while training, as batch norm's running statistics do, and
    is fixed in evaluation mode: then this is a LIF neuron, and goes to a chip as one.

    Args:
        threshold: The threshold to start from; above 0. The buffer `threshold` has the present
            one.
        tau_mem: Membrane time constant in ms; above 0.
        target_rate: Spikes per neuron and timestep to hold, between 0 and 1.
        adaptation_rate: Change of log(threshold) in a timestep for a rate that is off by one.
        window_size: Length of the window in timesteps.
        **kwargs: The remaining arguments of `LifNeuron`.

    Example:
        >>> import torch
        >>> neuron = AdaptiveThresholdNeuron(tau_mem=2.0, target_rate=0.2)
        >>> for _ in range(100):
        ...     spikes = neuron(5 * torch.randn(8, 4, 100))
        >>> round(float(spikes.mean()), 1), bool(neuron.threshold > 1)
        (0.2, True)
    """

    threshold: Tensor  # type: ignore[assignment]
    rates: Tensor
    steps: Tensor

    def __init__(
        self,
        threshold: float = 1.0,
        tau_mem: float = 20.0,
        *,
        target_rate: float = 0.1,
        adaptation_rate: float = 0.1,
        window_size: int = 100,
        **kwargs: Any,
    ) -> None:
        super().__init__(threshold, tau_mem, **kwargs)
        self.target_rate = check_target_rate(target_rate)
        self.adaptation_rate = check_positive("adaptation_rate", adaptation_rate)
        check_positive_int("window_size", window_size)
        del self.threshold  # the number becomes a buffer
        for name, value in initial_state(threshold, window_size)._asdict().items():
            self.register_buffer(name, value)

    def forward(
        self, current: Tensor, state: LifState | None = None, *, norm: Norm | None = None
    ) -> Tensor | tuple[Tensor, LifState]:
        """Integrate and fire as `LifNeuron` does; in training mode adapt the threshold after it."""
        result = super().forward(current, state, norm=norm)
        if self.training:
            spikes = result if isinstance(result, Tensor) else result[0]
            now = ThresholdState(self.threshold, self.rates, self.steps)
            for rate in spikes.detach().transpose(0, 1).flatten(1).float().mean(1):
                now = now.after(rate, self.adaptation_rate, self.target_rate)
            self.threshold, self.rates, self.steps = now
        return result

    def extra_repr(self) -> str:
        """Return the settings that matter when reading a printed model."""
        return (
            f"threshold={float(self.threshold):.4g}, tau_mem={self.tau_mem}, "
            f"reset={self.reset!r}, target_rate={self.target_rate}"
        )
