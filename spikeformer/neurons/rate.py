"""A neuron's rate function: what it fires on average when its current stands still."""

from __future__ import annotations

from torch import Tensor

from spikeformer.error_handling import check_positive_int
from spikeformer.neurons.base import SpikingNeuron
from spikeformer.ops import LifState


class RateNeuron(SpikingNeuron):
    r"""The activation function that a spiking neuron is over T timesteps.

    With `I` the mean of the current over time and `s[t]` what the neuron fires at `I` from rest::

        r(I) = (1 / T) * sum_t s[t]

    A staircase of at most T steps, exact for a current that does not change, whatever the neuron:
    a LIF with hard reset fires every k-th step, where k is the first with
    `I (1 - beta^k) / (1 - beta) >= threshold`. Backward passes through the neuron's own surrogate
    gradient.

    Args:
        neuron: The neuron; its parameters are used as they are.
        timesteps: T; None takes the number of timesteps of the current.

    Source: the quantised activation of Bu et al., ICLR 2022, arXiv:2303.04347, for any neuron.

    Example:
        >>> import torch
        >>> from spikeformer.neurons import LifNeuron
        >>> rate = RateNeuron(LifNeuron(tau_mem=1.4427, reset="zero"), timesteps=4)
        >>> rate(torch.tensor([[[0.5, 0.55, 0.7, 1.0]]])).flatten().tolist()
        [0.0, 0.25, 0.5, 1.0]
    """

    def __init__(self, neuron: SpikingNeuron, timesteps: int | None = None) -> None:
        super().__init__(neuron.threshold)
        if timesteps is not None:
            check_positive_int("timesteps", timesteps)
        self.neuron = neuron
        self.timesteps = timesteps

    @property
    def fires_integers(self) -> bool:
        """Whether rates meet as fractions of spikes do: if those of the neuron are fractions."""
        return self.neuron.fires_integers

    def integrate(self, current: Tensor, state: LifState | None) -> tuple[Tensor, LifState]:
        """Return the rate, the same at every timestep, and a state of rest: rates have none."""
        timesteps = self.timesteps or current.shape[1]
        mean = current.mean(dim=1, keepdim=True)
        spikes = self.neuron(mean.expand(-1, timesteps, *mean.shape[2:]))
        rate = spikes.mean(dim=1, keepdim=True).expand_as(current)
        return rate, self.initial_state(current)

    def extra_repr(self) -> str:
        """Return the settings that matter when reading a printed model."""
        return f"timesteps={self.timesteps}"
