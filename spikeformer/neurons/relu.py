"""The rectifier: what makes an ANN of a spiking network."""

from __future__ import annotations

from torch import Tensor

from spikeformer.neurons.base import SpikingNeuron
from spikeformer.ops import LifState


class ReluNeuron(SpikingNeuron):
    r"""Activation of the ANN of the same size, in the place of a spiking neuron.

    At every timestep by itself, without memory::

        r[t] = max(I[t], 0) / threshold

    It fires no spikes and runs on no chip: it is a baseline. One timestep is enough
    (`neuron=relu timesteps=1`); more repeat the same.

    Args:
        threshold: Current at which the output is 1; above 0.
        check_finite: Refuse NaN and Inf currents.

    Example:
        >>> import torch
        >>> ReluNeuron()(torch.tensor([[[-1.0, 0.5, 2.0]]])).tolist()
        [[[0.0, 0.5, 2.0]]]
    """

    def integrate(self, current: Tensor, state: LifState | None) -> tuple[Tensor, LifState]:
        """Return what is above zero, and a state of rest: nothing is remembered."""
        return current.relu() / self.threshold, self.initial_state(current)

    def extra_repr(self) -> str:
        """Return the settings that matter when reading a printed model."""
        return f"threshold={self.threshold}"
