"""The adaptive leaky integrate-and-fire neuron."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from spikeformer.error_handling import ArgumentError
from spikeformer.neurons.base import at_rest, decay_of
from spikeformer.neurons.lif import LifNeuron
from spikeformer.ops import LifState
from spikeformer.ops.lif import LifArguments


class AdLifNeuron(LifNeuron):
    r"""LIF neuron whose spikes feed an inhibitory adaptation current.

    With `alpha = exp(-dt / tau_mem)` and `rho = exp(-dt / tau_adp)`::

        u[t] = alpha * v[t-1] + I[t] - a[t-1]
        s[t] = 1 if u[t] >= threshold else 0
        a[t] = rho * a[t-1] + beta * s[t]

    and the reset of `LifNeuron`. A neuron that fires often becomes harder to excite.

    Args:
        threshold: Membrane potential at which a neuron fires; above 0.
        tau_mem: Membrane time constant in ms; above 0.
        tau_adp: Time constant of the adaptation current in ms; above 0.
        beta: Adaptation added by each spike, in units of the current; 0 gives `LifNeuron`.
        **kwargs: The remaining arguments of `LifNeuron`.

    Source: spike-triggered adaptation of Brette & Gerstner, 2005, doi:10.1152/jn.00686.2005, in
    the linear form of Bittar & Garner, 2022, doi:10.3389/fnins.2022.865897.
    """

    def __init__(
        self,
        threshold: float = 1.0,
        tau_mem: float = 20.0,
        tau_adp: float = 200.0,
        beta: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(threshold, tau_mem, **kwargs)
        if not beta >= 0:
            raise ArgumentError("beta", beta, "a number of at least 0")
        self.tau_adp = tau_adp
        self.beta = beta
        self.adaptation_decay = decay_of("tau_adp", tau_adp)

    def initial_state(self, current: Tensor) -> LifState:
        """Return the resting state: no membrane potential, no adaptation."""
        return LifState(at_rest(current), at_rest(current))

    def _lif_arguments(self) -> LifArguments:
        return {
            **super()._lif_arguments(),
            "adaptation_decay": self.adaptation_decay,
            "adaptation_strength": self.beta,
        }

    def extra_repr(self) -> str:
        """Return the settings that matter when reading a printed model."""
        return f"{super().extra_repr()}, tau_adp={self.tau_adp}, beta={self.beta}"
