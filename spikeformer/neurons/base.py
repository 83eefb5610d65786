"""What every spiking neuron shares: the call, the explicit state, the checks."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Protocol, TypedDict, overload

import torch
from torch import Tensor, nn

from spikeformer.error_handling import ArgumentError, SpikingDynamicsError, check_positive
from spikeformer.ops import LifState

DT_MS = 1.0
"""Length of one timestep in milliseconds, everywhere in SpikeFormer."""


def decay_of(argument: str, tau: float) -> float:
    """Return the factor `exp(-dt / tau)` by which a state shrinks in one timestep; tau in ms."""
    return math.exp(-DT_MS / check_positive(argument, tau))


class LifDynamics(TypedDict):
    """What makes one LIF-like neuron differ from another: the keyword arguments of `ops.lif`."""

    decay: float | Tensor
    threshold: float | Tensor
    reset: str
    detach_reset: bool
    surrogate: str
    slope: float | None
    adaptation_decay: float | Tensor | None
    adaptation_strength: float | Tensor
    backend: str


class SpikingNeuron(nn.Module, ABC):
    """A layer of independent neurons, one per feature, that turns currents into spikes.

    Calling it with a current alone starts from rest and returns the spikes. Calling it with a
    state returns `(spikes, state)`, so that a long recording can be cut anywhere. No state is kept
    between calls.

    Args:
        threshold: Membrane potential at which a neuron fires; above 0.
        check_finite: Refuse NaN and Inf currents. Costs one pass over the input.
    """

    def __init__(self, threshold: float = 1.0, *, check_finite: bool = False) -> None:
        super().__init__()
        self.threshold = check_positive("threshold", threshold)
        self.check_finite = check_finite

    @abstractmethod
    def integrate(self, current: Tensor, state: LifState | None) -> tuple[Tensor, LifState]:
        """Return spikes of `current`'s shape and the state after its last timestep."""

    def dynamics(self) -> LifDynamics | None:
        """Return the arguments with which `ops.lif`, or an op that has it inside, does the same.

        None where only a call of this module will do: another equation, spikes other than 0 and 1,
        or somebody who must see the current or the spikes (`check_finite`, a hook).
        """
        return None

    def initial_state(self, current: Tensor) -> LifState:
        """Return the resting state for a current of shape (batch, timesteps, *features)."""
        return LifState(_rest(current))

    @overload
    def __call__(self, current: Tensor) -> Tensor: ...
    @overload
    def __call__(self, current: Tensor, state: LifState) -> tuple[Tensor, LifState]: ...
    def __call__(
        self, current: Tensor, state: LifState | None = None
    ) -> Tensor | tuple[Tensor, LifState]:
        """Run `forward` and its hooks."""
        return super().__call__(current) if state is None else super().__call__(current, state)

    def forward(
        self, current: Tensor, state: LifState | None = None
    ) -> Tensor | tuple[Tensor, LifState]:
        """Integrate a current over time and fire.

        Args:
            current: Input current, shape (batch, timesteps, *features).
            state: State before the first timestep; None means rest.

        Returns:
            Spikes of the shape of `current`; with a `state`, the pair `(spikes, new_state)`.

        Raises:
            SpikingDynamicsError: `current` has no timesteps, is no floating-point tensor, or (with
                `check_finite`) holds NaN or Inf; or `state` belongs to another shape.
        """
        if current.ndim < 2 or current.shape[1] == 0 or not current.is_floating_point():
            raise SpikingDynamicsError(
                "Expected a floating-point current of shape (batch, timesteps, *features) with at "
                f"least one timestep, but got {current.dtype} of shape {tuple(current.shape)}."
            )
        if state is not None and state.membrane.shape != current[:, 0].shape:
            raise SpikingDynamicsError(
                f"Expected a state of shape {tuple(current[:, 0].shape)}, one membrane for each "
                f"neuron, but got {tuple(state.membrane.shape)}. A state fits the batch it is from."
            )
        if self.check_finite and not torch.isfinite(current).all():
            bad = int((~torch.isfinite(current)).sum())
            raise SpikingDynamicsError(
                f"{bad} of {current.numel()} currents are NaN or Inf. "
                "Lower the learning rate, clip gradients, or look at the layer before."
            )
        spikes, new_state = self.integrate(current, state)
        return spikes if state is None else (spikes, new_state)


class NeuronFactory(Protocol):
    """Anything that makes a neuron for a threshold: a class, or a `functools.partial` of one."""

    def __call__(self, *, threshold: float) -> SpikingNeuron:
        """Return a new neuron layer with this threshold."""


def _rest(current: Tensor) -> Tensor:
    if current.ndim < 2:
        raise ArgumentError("current", tuple(current.shape), "of shape (batch, timesteps, ...)")
    dtype = torch.promote_types(current.dtype, torch.float32)
    return current.new_zeros((current.shape[0], *current.shape[2:]), dtype=dtype)


def _is_plain_call(module: nn.Module) -> bool:
    """Whether calling `module` runs its `forward` and nothing else: it has no hooks."""
    hooks = (
        module._forward_hooks,
        module._forward_pre_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
    )
    return not any(hooks)
