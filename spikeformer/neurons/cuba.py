"""The leaky integrate-and-fire neuron whose input currents decay by themselves."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from spikeformer.error_handling import ArgumentError
from spikeformer.neurons.base import at_rest, decay_of
from spikeformer.neurons.lif import LifNeuron
from spikeformer.ops import LifState


class CubaLifNeuron(LifNeuron):
    r"""LIF neuron whose synaptic current decays with a time constant of its own (CUBA-LIF).

    With `alpha = exp(-dt / tau_syn)` and `beta = exp(-dt / tau_mem)`::

        i[t] = alpha * i[t-1] + I[t]
        u[t] = beta * v[t-1] + i[t]
        s[t] = 1 if u[t] >= threshold else 0

    and the reset of `LifNeuron`, which leaves the current `i` as it is. The second tensor of its
    state is that current.

    Args:
        threshold: Membrane potential at which a neuron fires; above 0.
        tau_mem: Membrane time constant in ms; above 0.
        tau_syn: Time constant of the synaptic current in ms; above 0 and finite.
        **kwargs: The remaining arguments of `LifNeuron`.

    Source: current-based synapses as in Gerstner et al., *Neuronal Dynamics*, 2014, section 3.1; in
    this form, without a factor on the input, the compartment of Davies et al., 2018,
    doi:10.1109/MM.2018.112130359.

    Example:
        >>> neuron = CubaLifNeuron(threshold=1.0, tau_mem=20.0, tau_syn=2.0)
        >>> neuron(torch.tensor([[[0.6], [0.0], [0.0], [0.0]]])).flatten().tolist()
        [0.0, 0.0, 1.0, 0.0]
    """

    def __init__(
        self, threshold: float = 1.0, tau_mem: float = 20.0, tau_syn: float = 5.0, **kwargs: Any
    ) -> None:
        super().__init__(threshold, tau_mem, **kwargs)
        if tau_syn == math.inf:
            raise ArgumentError("tau_syn", tau_syn, "a finite number of ms")
        self.tau_syn = tau_syn
        self.current_decay = decay_of("tau_syn", tau_syn)

    @property
    def binary(self) -> bool:
        """Whether all spikes are 0 or 1: unless a subclass fires otherwise."""
        return type(self).integrate is CubaLifNeuron.integrate

    def initial_state(self, current: Tensor) -> LifState:
        """Return the resting state: no membrane potential, no current."""
        return LifState(at_rest(current), at_rest(current))

    def integrate(self, current: Tensor, state: LifState | None) -> tuple[Tensor, LifState]:
        """Return spikes of `current`'s shape, and membrane and current after the last timestep."""
        membrane, held = self.initial_state(current) if state is None else state
        synaptic = at_rest(current) if held is None else held
        steps = []
        for step in current.unbind(1):
            synaptic = self.current_decay * synaptic + step
            steps.append(synaptic)
        filtered = torch.stack(steps, dim=1).to(current.dtype)
        spikes, final = super().integrate(filtered, LifState(membrane))
        return spikes, LifState(final.membrane, synaptic)

    def extra_repr(self) -> str:
        """Return the settings that matter when reading a printed model."""
        return f"{super().extra_repr()}, tau_syn={self.tau_syn}"
