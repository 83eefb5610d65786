"""An integer LIF neuron that takes and sends binary spikes."""

from __future__ import annotations

from torch import Tensor

from spikeformer.error_handling import SpikingDynamicsError
from spikeformer.neurons.base import Norm
from spikeformer.neurons.integer_lif import IntegerLifNeuron, unit_spikes
from spikeformer.ops import LifState


class UnrolledNeuron(IntegerLifNeuron):
    r"""Integer LIF neuron whose timesteps consist of D = `max_spikes` binary steps each.

    It gathers the currents of the D steps of a timestep, then fires as many unit spikes as the
    integer neuron fires::

        I[t]        = (1 / D) * sum_d i[D t + d],    d = 0 .. D - 1
        s[D t + d]  = 1 if d < n[t] else 0

    with n of `IntegerLifNeuron`. Currents from unit spikes have the mean of those from `n / D`, so
    n is the same. A timestep has to be over before its spikes can leave: in a network each layer
    works on a timestep while the one behind it works on the timestep before. It is for inference,
    and refuses to run in training mode.

    Args:
        neuron: The integer neuron.
        timesteps: T; currents have T * D steps.
    """

    def __init__(self, neuron: IntegerLifNeuron, timesteps: int) -> None:
        super().__init__(
            neuron.threshold,
            neuron.tau_mem,
            neuron.max_spikes,
            check_finite=neuron.check_finite,
            backend=neuron.backend,
        )
        self.timesteps = timesteps * neuron.max_spikes

    @property
    def binary(self) -> bool:
        """Whether all spikes are 0 or 1: they are."""
        return True

    @property
    def fires_integers(self) -> bool:
        """Whether spikes are fractions: they are not."""
        return False

    def integrate(self, current: Tensor, state: LifState | None) -> tuple[Tensor, LifState]:
        """Return unit spikes of `current`'s shape and the membrane after its last timestep."""
        spikes, final = super().integrate(self._gathered(current), state)
        return unit_spikes(spikes, self.max_spikes), final

    def integrate_normed(
        self, current: Tensor, state: LifState | None, norm: Norm
    ) -> tuple[Tensor, LifState]:
        """Do what `integrate` does behind a norm of the gathered currents."""
        spikes, final = super().integrate(norm(self._gathered(current)), state)
        return unit_spikes(spikes, self.max_spikes), final

    def _gathered(self, current: Tensor) -> Tensor:
        """The mean over the steps of each timestep."""
        if self.training:
            raise SpikingDynamicsError(
                "An unrolled neuron is for inference: unit spikes have no gradient. Call eval(),"
                " and train the integer network, which has the same weights."
            )
        if current.shape[1] != self.timesteps:
            raise SpikingDynamicsError(
                f"Expected currents of {self.timesteps} steps, {self.max_spikes} for each timestep"
                f" of the integer network, but got {current.shape[1]}."
            )
        return gathered(current, self.max_spikes)

    def extra_repr(self) -> str:
        """Return the settings that matter when reading a printed model."""
        return f"{super().extra_repr()}, timesteps={self.timesteps}"


def gathered(x: Tensor, steps: int) -> Tensor:
    """Mean of every `steps` steps of (batch, steps * timesteps, ...)."""
    return x.reshape(x.shape[0], -1, steps, *x.shape[2:]).mean(dim=2)
