"""Thresholds that hold a firing rate, whatever the scale of the input."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from spikeformer.error_handling import (
    ArgumentError,
    SpikingDynamicsError,
    check_choice,
    check_positive,
    check_positive_int,
)
from spikeformer.ops import SURROGATES, spike

LOWEST_THRESHOLD = 1e-4
"""A layer that nothing excites keeps this threshold; at 0 its potentials would have no measure."""


class ThresholdState(NamedTuple):
    """What a homeostatic threshold remembers.

    Attributes:
        threshold: The threshold of the next timestep, 0-dim.
        rates: Firing rates of the last `window_size` timesteps, the newest last.
        steps: How many of them have been observed; the others are 0 and do not count. 0-dim.
    """

    threshold: Tensor
    rates: Tensor
    steps: Tensor

    def after(self, rate: Tensor, adaptation_rate: float, target_rate: float) -> ThresholdState:
        """Return the state after a timestep with this firing rate."""
        rates = torch.cat((self.rates[1:], rate.reshape(1).to(self.rates.dtype)))
        steps = (self.steps + 1).clamp(max=len(rates))
        excess = rates.sum() / steps - target_rate
        threshold = self.threshold * torch.exp(adaptation_rate * excess)
        return ThresholdState(threshold.clamp(min=LOWEST_THRESHOLD), rates, steps)


def initial_state(threshold: float, window_size: int) -> ThresholdState:
    """Return the state of a threshold that has observed nothing."""
    return ThresholdState(torch.tensor(float(threshold)), torch.zeros(window_size), torch.tensor(0))


def check_target_rate(value: float) -> float:
    """Return `value` if it lies inside (0, 1), else raise `ArgumentError`."""
    if not 0 < check_positive("target_rate", value) < 1:
        raise ArgumentError("target_rate", value, "a rate between 0 and 1, without either")
    return value


class AdaptiveSpikeThreshold(nn.Module):
    r"""Fires where a membrane potential reaches a threshold that follows the layer's activity.

    With r[t] the mean of the layer's firing rate over the last `window_size` timesteps and r* the
    target::

        s[t]         = 1 if v[t] >= theta[t] else 0
        theta[t + 1] = theta[t] * exp(adaptation_rate * (r[t] - r*))

    A layer that fires too much becomes harder to excite, one that fires too little easier: an
    integral controller of log(theta), so that the rate settles at r* for any scale of the input.
    theta never falls below 1e-4. The delay of the window lets it overshoot: keep
    `adaptation_rate * window_size` below about 20 (with a sensitivity dr/dlog(theta) of a
    quarter the loop is stable up to `pi^2 / 2 / (window_size / 4)`).

    The state lies in the buffers `threshold`, `rates` and `steps`, so checkpoints have it. In
    training mode a call goes on from them and updates them; in evaluation mode they stay. A call
    with a `state` of its own leaves the buffers alone and always adapts.

    Backward passes through the spikes by the surrogate and, within a call, through the
    threshold's dependence on earlier spikes.

    Args:
        initial_threshold: Threshold of the first timestep; above 0.
        adaptation_rate: Change of log(theta) in a timestep for a rate that is off by one; above 0.
        window_size: Length of the window in timesteps.
        target_rate: r*, spikes per neuron and timestep, between 0 and 1.
        surrogate_type: Name of the surrogate derivative, a key of `spikeformer.ops.SURROGATES`,
            of `v / theta - 1`.
        surrogate_slope: Its sharpness; None takes the surrogate's own default.

    Source: homeostasis of the firing rate by the threshold, as in Diehl & Cook, 2015,
    doi:10.3389/fncom.2015.00099, with the control of an average rate (Turrigiano, 2008,
    doi:10.1016/j.cell.2008.10.008) in place of a decaying increment.

    Example:
        >>> homeostasis = AdaptiveSpikeThreshold(target_rate=0.2)
        >>> spikes, threshold = homeostasis(3 * torch.randn(8, 400, 50))
        >>> spikes.shape, round(float(spikes[:, 300:].mean()), 1), bool(threshold > 1)
        (torch.Size([8, 400, 50]), 0.2, True)
    """

    threshold: Tensor
    rates: Tensor
    steps: Tensor

    def __init__(
        self,
        initial_threshold: float = 1.0,
        adaptation_rate: float = 0.1,
        window_size: int = 100,
        *,
        target_rate: float = 0.1,
        surrogate_type: str = "fast_sigmoid",
        surrogate_slope: float | None = None,
    ) -> None:
        super().__init__()
        check_positive("initial_threshold", initial_threshold)
        self.adaptation_rate = check_positive("adaptation_rate", adaptation_rate)
        self.window_size = check_positive_int("window_size", window_size)
        self.target_rate = check_target_rate(target_rate)
        self.surrogate_type = check_choice("surrogate_type", surrogate_type, SURROGATES)
        self.surrogate_slope = surrogate_slope
        for name, value in initial_state(initial_threshold, window_size)._asdict().items():
            self.register_buffer(name, value)

    @property
    def state(self) -> ThresholdState:
        """The state in the buffers."""
        return ThresholdState(self.threshold, self.rates, self.steps)

    def forward(
        self, membrane_potential: Tensor, state: ThresholdState | None = None
    ) -> tuple[Tensor, Tensor | ThresholdState]:
        """Fire and adapt.

        Args:
            membrane_potential: Shape (batch, timesteps, *features).
            state: State before the first timestep; None takes the module's own.

        Returns:
            Spikes, 0 or 1, of the shape of `membrane_potential`, and the current threshold, the
            0-dim one that the next timestep would meet; with a `state`, the pair
            `(spikes, new_state)`.

        Raises:
            SpikingDynamicsError: The potential has no timesteps or is no floating-point tensor, or
                the state has another window.
        """
        v = membrane_potential
        if v.ndim < 2 or v.numel() == 0 or not v.is_floating_point():
            raise SpikingDynamicsError(
                "Expected a floating-point membrane potential of shape (batch, timesteps, "
                f"*features) with at least one value, but got {v.dtype} of shape "
                f"{tuple(v.shape)}."
            )
        if state is not None and state.rates.shape != self.rates.shape:
            raise SpikingDynamicsError(
                f"Expected a state with a window of {self.window_size} timesteps, but got one of"
                f" {state.rates.numel()}. A state fits the module it is from."
            )
        now = state or self.state
        adapts = state is not None or self.training
        fired = []
        for potential in v.unbind(1):
            spikes = spike(potential / now.threshold - 1, self.surrogate_type, self.surrogate_slope)
            fired.append(spikes.to(v.dtype))
            if adapts:
                now = now.after(spikes.mean(), self.adaptation_rate, self.target_rate)
        if state is not None:
            return torch.stack(fired, dim=1), now
        if adapts:
            self.threshold, self.rates, self.steps = (value.detach() for value in now)
        return torch.stack(fired, dim=1), now.threshold

    def extra_repr(self) -> str:
        """Return the settings that matter when reading a printed model."""
        return (
            f"adaptation_rate={self.adaptation_rate}, window_size={self.window_size}, "
            f"target_rate={self.target_rate}"
        )
