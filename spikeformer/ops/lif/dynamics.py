"""The arguments that say how a LIF neuron behaves, checked once for every op that holds one."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple, Required, TypedDict

import torch
from torch import Tensor

from spikeformer.error_handling import ArgumentError, check_choice
from spikeformer.i18n import t
from spikeformer.ops.lif.reference import LifState
from spikeformer.ops.surrogates import resolve_slope, spike

RESETS = ("subtract", "zero")


class LifArguments(TypedDict, total=False):
    """Keyword arguments of `lif` that describe the neuron; `lif` explains them."""

    decay: Required[Tensor | float]
    threshold: Tensor | float
    reset: str
    detach_reset: bool
    surrogate: str
    slope: float | None
    adaptation_decay: Tensor | float | None
    adaptation_strength: Tensor | float


class Dynamics(NamedTuple):
    """Checked `LifArguments`, in the forms that reference and operators take.

    Args:
        parameters: Decay, threshold, adaptation decay and adaptation strength.
        adaptive: Whether there is an adaptation current.
        options: Reset, detach reset, surrogate and its slope.
    """

    parameters: tuple[Tensor | float, ...]
    adaptive: bool
    options: tuple[str, bool, str, float]

    @classmethod
    def of(
        cls,
        *,
        decay: Tensor | float,
        threshold: Tensor | float = 1.0,
        reset: str = "subtract",
        detach_reset: bool = False,
        surrogate: str = "fast_sigmoid",
        slope: float | None = None,
        adaptation_decay: Tensor | float | None = None,
        adaptation_strength: Tensor | float = 0.0,
    ) -> Dynamics:
        """Check the arguments of a neuron.

        Raises:
            ArgumentError: If one is outside its documented range.
        """
        parameters = {
            "decay": decay,
            "threshold": threshold,
            "adaptation_decay": 0.0 if adaptation_decay is None else adaptation_decay,
            "adaptation_strength": adaptation_strength,
        }
        for name, value in parameters.items():
            if isinstance(value, Tensor) and value.dim() > 0:
                raise ArgumentError(name, tuple(value.shape), t("ops.number_or_scalar"))
        check_choice("reset", reset, RESETS)
        options = (reset, detach_reset, surrogate, resolve_slope(surrogate, slope))
        return cls(tuple(parameters.values()), adaptation_decay is not None, options)

    def for_reference(self) -> dict[str, Any]:
        """Arguments of `lif_reference`."""
        reset, detach_reset, surrogate, slope = self.options
        names = "decay", "threshold", "adaptation_decay", "adaptation_strength"
        return {
            **dict(zip(names, self.parameters, strict=True)),
            "reset": reset,
            "detach_reset": detach_reset,
            "fire": partial(spike, surrogate=surrogate, slope=slope),
        }

    def for_operator(self, device: torch.device) -> tuple[Tensor | None, list[float]]:
        """The parameters as one tensor of four if any has a gradient to take, else as numbers."""
        numbers = [value for value in self.parameters if not isinstance(value, Tensor)]
        if len(numbers) == len(self.parameters):
            return None, numbers
        return torch.stack([_scalar(value, device) for value in self.parameters]), []

    def checked_state(
        self, current: Tensor, state: LifState | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Membrane, None if it starts from zero, and adaptation, None if there is none.

        Raises:
            ArgumentError: If the current has no timesteps or the state does not fit it.
        """
        if current.dim() < 2 or current.shape[1] < 1 or not current.is_floating_point():
            raise ArgumentError(
                "current",
                f"{tuple(current.shape)} {current.dtype}",
                t("ops.current"),
            )
        if state is None:
            return None, zero_state(current) if self.adaptive else None
        membrane, adaptation = state
        if adaptation is not None and not self.adaptive:
            raise ArgumentError(
                "state",
                t("ops.with_adaptation"),
                t("ops.without_adaptation"),
                t("ops.pass_adaptation_decay"),
            )
        if adaptation is None and self.adaptive:
            adaptation = zero_state(current)
        return (
            _checked("state.membrane", membrane, current),
            None if adaptation is None else _checked("state.adaptation", adaptation, current),
        )


def zero_state(current: Tensor) -> Tensor:
    """A state of zeros: without the time axis, in float32 or wider."""
    dtype = torch.promote_types(current.dtype, torch.float32)
    return current.new_zeros(current.shape[:1] + current.shape[2:], dtype=dtype)


def _scalar(value: Tensor | float, device: torch.device) -> Tensor:
    if isinstance(value, Tensor):
        return value.to(device, torch.float32)
    return torch.full((), value, device=device)


def _checked(name: str, tensor: Tensor, current: Tensor) -> Tensor:
    shape = current.shape[:1] + current.shape[2:]
    if tensor.shape != shape:
        raise ArgumentError(name, tuple(tensor.shape), t("expected.of_shape", shape=tuple(shape)))
    return tensor.to(torch.promote_types(current.dtype, torch.float32))
