"""The arguments that say how a LIF neuron behaves, checked once for every op that holds one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Required, Self, TypedDict

import torch
from torch import Tensor

from spikeformer.error_handling import ArgumentError, check_choice, check_positive_int
from spikeformer.ops.dispatch import resolve_backend
from spikeformer.ops.surrogates import resolve_slope

RESETS = ("subtract", "zero")

State = Sequence[Tensor | None]
"""Membrane, None if it starts from zero, and adaptation current, None if there is none."""


class LifArguments(TypedDict, total=False):
    """Keyword arguments of `lif`, and of the ops that have its neurons inside."""

    decay: Required[Tensor | float]
    threshold: Tensor | float
    reset: str
    detach_reset: bool
    surrogate: str
    slope: float | None
    adaptation_decay: Tensor | float | None
    adaptation_strength: Tensor | float
    max_spikes: int | None
    backend: str


class LifState(NamedTuple):
    """What a LIF population carries from one call to the next.

    Args:
        membrane: Potential after the last reset, (batch, *features), in units of the threshold;
            float32, or float64 for float64 input.
        adaptation: Adaptation current, of the same shape and dtype, or the synaptic current of a
            `CubaLifNeuron`; None without either.
    """

    membrane: Tensor
    adaptation: Tensor | None = None


class Dynamics(NamedTuple):
    """Checked `LifArguments`, as references, operators and kernels hand them on.

    Args:
        parameters: Decay, threshold, adaptation decay and adaptation strength; for kernels as
            numbers, or, if any has a gradient to take, as one tensor (4,).
        reset: One of `RESETS`.
        detach_reset: Whether the reset lets no gradient through the spike.
        surrogate: Name in `SURROGATES`.
        slope: Its slope.
        max_spikes: Most spikes of a neuron in one timestep; 0 where spikes are 0 or 1 and have the
            surrogate's gradient.
        backend: "reference", "cpu" or "triton".
    """

    parameters: Tensor | Sequence[Tensor | float]
    reset: str
    detach_reset: bool
    surrogate: str
    slope: float
    max_spikes: int
    backend: str

    @classmethod
    def of(
        cls,
        op: str,
        current: Tensor,
        state: LifState | None,
        *,
        decay: Tensor | float,
        threshold: Tensor | float = 1.0,
        reset: str = "subtract",
        detach_reset: bool = False,
        surrogate: str = "fast_sigmoid",
        slope: float | None = None,
        adaptation_decay: Tensor | float | None = None,
        adaptation_strength: Tensor | float = 0.0,
        max_spikes: int | None = None,
        backend: str = "auto",
    ) -> tuple[Self, State]:
        """Check the arguments of an op that lets neurons integrate a current from a state.

        Raises:
            ArgumentError: If one is outside its documented range, the current has no timesteps or
                the state does not fit it.
            BackendUnavailableError: If an explicit backend cannot run on the current's device.
        """
        adaptive = adaptation_decay is not None
        parameters = {
            "decay": decay,
            "threshold": threshold,
            "adaptation_decay": 0.0 if adaptation_decay is None else adaptation_decay,
            "adaptation_strength": adaptation_strength,
        }
        for name, value in parameters.items():
            if isinstance(value, Tensor) and value.dim() > 0:
                raise ArgumentError(name, tuple(value.shape), "a number or a 0-dim tensor")
        check_choice("reset", reset, RESETS)
        slope = resolve_slope(surrogate, slope)
        if max_spikes is not None:
            _check_counts(max_spikes, reset, adaptive=adaptive)
        checked = _checked_state(current, state, adaptive)
        backend = resolve_backend(backend, current.device, op=op, dtype=current.dtype)
        numbers = tuple(parameters.values())
        most = max_spikes or 0
        return cls(numbers, reset, detach_reset, surrogate, slope, most, backend), checked

    @classmethod
    def of_operator(
        cls, parameters: Tensor | None, numbers: Sequence[float], *options: Any
    ) -> Self:
        """Undo `for_operator`."""
        return cls(numbers if parameters is None else parameters, *options)

    def for_operator(self, device: torch.device) -> tuple[Any, ...]:
        """Arguments of an operator, `registration.NEURON`."""
        numbers = [value for value in self.parameters if not isinstance(value, Tensor)]
        if len(numbers) == len(self.parameters):
            return None, numbers, *self[1:]
        stacked = torch.stack([_scalar(value, device) for value in self.parameters])
        return stacked, [], *self[1:]


def zero_state(current: Tensor) -> Tensor:
    """A state of zeros: without the time axis, in float32 or wider."""
    dtype = torch.promote_types(current.dtype, torch.float32)
    return current.new_zeros(current.shape[:1] + current.shape[2:], dtype=dtype)


def _check_counts(max_spikes: int, reset: str, *, adaptive: bool) -> None:
    check_positive_int("max_spikes", max_spikes)
    if reset != "subtract":
        raise ArgumentError("reset", reset, "'subtract' with `max_spikes`")
    if adaptive:
        received, expected = "an adaptation current", "no adaptation with `max_spikes`"
        raise ArgumentError("adaptation_decay", received, expected)


def _scalar(value: Tensor | float, device: torch.device) -> Tensor:
    if isinstance(value, Tensor):
        return value.to(device, torch.float32)
    return torch.full((), value, dtype=torch.float32, device=device)


def _checked_state(current: Tensor, state: LifState | None, adaptive: bool) -> State:
    if current.dim() < 2 or current.shape[1] < 1 or not current.is_floating_point():
        raise ArgumentError(
            "current",
            f"{tuple(current.shape)} {current.dtype}",
            "a floating-point tensor (batch, timesteps, *features) with at least one timestep",
        )
    if state is None:
        return None, zero_state(current) if adaptive else None
    membrane, adaptation = state
    if adaptation is not None and not adaptive:
        raise ArgumentError(
            "state", "one with an adaptation current", "without one", "Pass `adaptation_decay`."
        )
    if adaptation is None and adaptive:
        adaptation = zero_state(current)
    return (
        _checked("state.membrane", membrane, current),
        None if adaptation is None else _checked("state.adaptation", adaptation, current),
    )


def _checked(name: str, tensor: Tensor, current: Tensor) -> Tensor:
    shape = current.shape[:1] + current.shape[2:]
    if tensor.shape != shape:
        raise ArgumentError(name, tuple(tensor.shape), f"of shape {tuple(shape)}")
    return tensor.to(torch.promote_types(current.dtype, torch.float32))
