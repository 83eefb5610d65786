"""Neurons that are computed by `ops.lif`, alone or inside the ops that have them built in."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from spikeformer.neurons.base import LifNorm, Norm, SpikingNeuron, is_plain_call
from spikeformer.ops import LifState, lif
from spikeformer.ops.lif import LifArguments


class FusedNeuron(SpikingNeuron):
    """A neuron whose equations are those of `ops.lif`."""

    @abstractmethod
    def _lif_arguments(self) -> LifArguments:
        """Return the arguments of `ops.lif`, all of them."""

    @property
    def _computed_by_the_op(self) -> bool:
        """Whether the op describes the neuron: a subclass may have equations of its own."""
        return type(self).integrate is FusedNeuron.integrate

    @property
    def binary(self) -> bool:
        """Whether all spikes are 0 or 1: unless the op counts, or a subclass fires otherwise."""
        return self._computed_by_the_op and self._lif_arguments()["max_spikes"] is None

    def integrate(self, current: Tensor, state: LifState | None) -> tuple[Tensor, LifState]:
        """Return spikes of `current`'s shape and the membrane after its last timestep."""
        return lif(current, state, **self._lif_arguments())

    def integrate_normed(
        self, current: Tensor, state: LifState | None, norm: Norm
    ) -> tuple[Tensor, LifState]:
        """Do what `integrate(norm(current), state)` does, fused if `norm` is a `LifNorm`."""
        if self._computed_by_the_op and isinstance(norm, LifNorm):
            return norm.lif(current, state, **self._lif_arguments())
        return super().integrate_normed(current, state, norm)

    def dynamics(self) -> LifArguments | None:
        """Return the arguments of `ops.lif` that do the same; None where only a call will do."""
        # A subclass with equations of its own inherits this method, but is not described by it.
        ours = self._computed_by_the_op and type(self).forward is FusedNeuron.forward
        may_fuse = ours and not self.check_finite and is_plain_call(self)
        return self._lif_arguments() if may_fuse else None
