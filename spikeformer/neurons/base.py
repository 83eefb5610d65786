"""What every spiking neuron shares: the call, the explicit state, the checks."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol, overload, runtime_checkable

import torch
from torch import Tensor, nn

from spikeformer.error_handling import ArgumentError, SpikingDynamicsError, check_positive
from spikeformer.ops import LifState
from spikeformer.ops.lif import LifArguments, zero_state
from spikeformer.ops.recomputing import keeping_recipe

DT_MS = 1.0
"""Length of one timestep in milliseconds, everywhere in SpikeFormer."""


def decay_of(argument: str, tau: float) -> float:
    """Return the factor `exp(-dt / tau)` by which a state shrinks in one timestep; tau in ms.

    An infinite `tau` leaves the state as it is: the factor is 1.
    """
    if tau == math.inf:
        return 1.0
    return math.exp(-DT_MS / check_positive(argument, tau))


Norm = Callable[[Tensor], Tensor]
"""Normalises a current, (batch, timesteps, *features) to the same."""


@runtime_checkable
class LifNorm(Protocol):
    """A normalisation that can let a LIF neuron fire in the same pass over memory."""

    def __call__(self, current: Tensor, /) -> Tensor:
        """Normalise a current, (batch, timesteps, *features)."""

    def lif(
        self, current: Tensor, state: LifState | None, **neuron: Any
    ) -> tuple[Tensor, LifState]:
        """Do what `ops.lif` does with the normalised current; `neuron` has its arguments."""


class SpikingNeuron(nn.Module, ABC):
    """A layer of independent neurons, one per feature, that turns currents into spikes.

    Calling it with a current alone starts from rest and returns the spikes. Calling it with a
    state returns `(spikes, state)`, so that a long recording can be cut anywhere. No state is kept
    between calls.

    Args:
        threshold: Membrane potential at which a neuron fires; above 0.
        check_finite: Refuse NaN and Inf currents. Costs one pass over the input.
    """

    backend: str = "auto"
    """Kernel of the neuron's op, where it has one."""

    def __init__(self, threshold: float = 1.0, *, check_finite: bool = False) -> None:
        super().__init__()
        self.threshold = check_positive("threshold", threshold)
        self.check_finite = check_finite

    @abstractmethod
    def integrate(self, current: Tensor, state: LifState | None) -> tuple[Tensor, LifState]:
        """Return spikes of `current`'s shape and the state after its last timestep."""

    @property
    def binary(self) -> bool:
        """Whether all spikes are 0 or 1, so that ops behind the neuron may keep one bit of each."""
        return False

    @property
    def fires_integers(self) -> bool:
        """Whether spikes are fractions n / D that stand for n unit spikes of a timestep.

        What multiplies spikes takes their minimum then, an AND of unit spikes
        (`ops.spike_attention.coincidence`).
        """
        return False

    def dynamics(self) -> LifArguments | None:
        """Return the arguments with which `ops.lif`, or an op that has it inside, does the same.

        None where only a call of this module will do: another equation, spikes other than 0 and 1,
        or somebody who must see the current or the spikes (`check_finite`, a hook).
        """
        return None

    def initial_state(self, current: Tensor) -> LifState:
        """Return the resting state for a current of shape (batch, timesteps, *features)."""
        return LifState(at_rest(current))

    def integrate_normed(
        self, current: Tensor, state: LifState | None, norm: Norm
    ) -> tuple[Tensor, LifState]:
        """Do what `integrate(norm(current), state)` does, faster if there is a way."""
        normed = norm(current)
        with keeping_recipe(normed):
            return self.integrate(normed, state)

    @overload
    def __call__(self, current: Tensor, *, norm: Norm | None = None) -> Tensor: ...
    @overload
    def __call__(
        self, current: Tensor, state: LifState, *, norm: Norm | None = None
    ) -> tuple[Tensor, LifState]: ...
    def __call__(
        self, current: Tensor, state: LifState | None = None, *, norm: Norm | None = None
    ) -> Tensor | tuple[Tensor, LifState]:
        """Run `forward` and its hooks."""
        # Hooks get only the arguments that were given.
        given = () if state is None else (state,)
        with keeping_recipe(current):
            return super().__call__(current, *given, **({} if norm is None else {"norm": norm}))

    def forward(
        self, current: Tensor, state: LifState | None = None, *, norm: Norm | None = None
    ) -> Tensor | tuple[Tensor, LifState]:
        """Integrate a current over time and fire.

        Args:
            current: Input current, shape (batch, timesteps, *features).
            state: State before the first timestep; None means rest.
            norm: Normalises the current first; with batch norm in the same pass over memory.

        Returns:
            Spikes of the shape of `current`; with a `state`, the pair `(spikes, new_state)`.

        Raises:
            SpikingDynamicsError: `current` has no timesteps, is no floating-point tensor, or (with
                `check_finite`) holds NaN or Inf; or `state` belongs to another shape.
        """
        if current.ndim < 2 or current.shape[1] == 0 or not current.is_floating_point():
            raise SpikingDynamicsError(
                "Expected a floating-point current of shape (batch, timesteps, *features) with at"
                f" least one timestep, but got {current.dtype} of shape {tuple(current.shape)}."
            )
        if state is not None and state.membrane.shape != current[:, 0].shape:
            raise SpikingDynamicsError(
                f"Expected a state of shape {tuple(current[:, 0].shape)}, one membrane for each"
                f" neuron, but got {tuple(state.membrane.shape)}. A state fits the batch it is"
                " from."
            )
        if self.check_finite and not torch.isfinite(current).all():
            bad = int((~torch.isfinite(current)).sum())
            raise SpikingDynamicsError(
                f"{bad} of {current.numel()} currents are NaN or Inf. Lower the learning rate, clip"
                " gradients, or look at the layer before."
            )
        if norm is None:
            spikes, new_state = self.integrate(current, state)
        else:
            spikes, new_state = self.integrate_normed(current, state, norm)
        return spikes if state is None else (spikes, new_state)


class NeuronFactory(Protocol):
    """Anything that makes a neuron for a threshold: a class, or a `functools.partial` of one."""

    def __call__(self, *, threshold: float) -> SpikingNeuron:
        """Return a new neuron layer with this threshold."""


def at_rest(current: Tensor) -> Tensor:
    """Zeros for each neuron of a current of shape (batch, timesteps, *features)."""
    if current.ndim < 2:
        raise ArgumentError("current", tuple(current.shape), "of shape (batch, timesteps, ...)")
    return zero_state(current)


def is_plain_call(module: nn.Module) -> bool:
    """Whether calling `module` runs its `forward` and nothing else: it has no hooks."""
    hooks = (
        module._forward_hooks,
        module._forward_pre_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
    )
    return not any(hooks)
