"""The public `lif` function: checks its arguments, picks a backend and runs it."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from spikeformer.error_handling import ArgumentError, check_choice
from spikeformer.ops._layout import FeatureAxes
from spikeformer.ops.dispatch import resolve_backend
from spikeformer.ops.lif._custom_op import lif_op
from spikeformer.ops.lif.reference import LifState, lif_reference
from spikeformer.ops.surrogates import resolve_slope, spike

RESETS = ("subtract", "zero")


def lif(
    current: Tensor,
    state: LifState | None = None,
    *,
    decay: Tensor | float,
    threshold: Tensor | float = 1.0,
    reset: str = "subtract",
    detach_reset: bool = False,
    surrogate: str = "fast_sigmoid",
    slope: float | None = None,
    adaptation_decay: Tensor | float | None = None,
    adaptation_strength: Tensor | float = 0.0,
    backend: str = "auto",
) -> tuple[Tensor, LifState]:
    """Leaky integrate-and-fire neurons over all timesteps of their input current.

    With I the current, v the membrane, a the adaptation current and H the step that fires at 0:

        v'[t] = decay v[t-1] + I[t] - a[t-1]
        s[t]  = H(v'[t] - threshold)
        v[t]  = v'[t] - threshold s[t]    (reset "subtract")
        v[t]  = v'[t] (1 - s[t])          (reset "zero")
        a[t]  = adaptation_decay a[t-1] + adaptation_strength s[t]

    Backward uses the surrogate in place of the derivative of H. Gradients reach the current, the
    initial state and every parameter given as a tensor, from the spikes and from the final state.

    Args:
        current: Input current, (batch, timesteps, *features), in units of the threshold.
        state: State after an earlier call; None starts from zero.
        decay: Factor on the membrane per timestep, a number or a 0-dim tensor, as are the next.
        threshold: Potential at which a neuron fires.
        reset: "subtract" the threshold after a spike, or set the membrane to "zero".
        detach_reset: Let no gradient through the spike in the reset.
        surrogate: Name in `SURROGATES`.
        slope: Slope of the surrogate; None means its default.
        adaptation_decay: Factor on the adaptation current per timestep; None means no adaptation.
        adaptation_strength: What one spike adds to the adaptation current.
        backend: One of `BACKENDS`; "auto" picks by device.

    Returns:
        Spikes 0 or 1 with the shape, dtype and memory layout of `current`, and the state after the
        last timestep, (batch, *features), float32 (float64 for float64 input).

    Raises:
        ArgumentError: If an argument is outside its documented range or the state does not fit.
        BackendUnavailableError: If an explicit backend cannot run on the current's device.

    References:
        Neftci, Mostafa & Zenke 2019, arXiv:1901.09948 (surrogate gradients); Fang et al. 2021,
        arXiv:2007.05785 (learnable decay); Bellec et al. 2018, arXiv:1803.09574 (adaptation).

    Example:
        >>> spikes, state = lif(torch.full((1, 4, 1), 0.5), decay=1.0)
        >>> spikes.flatten().tolist()
        [0.0, 1.0, 0.0, 1.0]
    """
    check_choice("reset", reset, RESETS)
    slope = resolve_slope(surrogate, slope)
    membrane, adaptation = _checked_state(current, state, adaptive=adaptation_decay is not None)
    parameters = {
        "decay": decay,
        "threshold": threshold,
        "adaptation_decay": 0.0 if adaptation_decay is None else adaptation_decay,
        "adaptation_strength": adaptation_strength,
    }
    for name, value in parameters.items():
        if isinstance(value, Tensor) and value.dim() > 0:
            raise ArgumentError(name, tuple(value.shape), "a number or a 0-dim tensor")
    kernel = resolve_backend(backend, current.device, op="lif", dtype=current.dtype)
    if kernel == "reference":
        return lif_reference(
            current,
            LifState(_zeros(current) if membrane is None else membrane, adaptation),
            reset=reset,
            detach_reset=detach_reset,
            fire=partial(spike, surrogate=surrogate, slope=slope),
            **parameters,
        )
    return _run_kernel(
        current,
        membrane,
        adaptation,
        list(parameters.values()),
        (reset, detach_reset, surrogate, slope, kernel),
    )


def _run_kernel(
    current: Tensor,
    membrane: Tensor | None,
    adaptation: Tensor | None,
    parameters: list[Tensor | float],
    options: tuple[str, bool, str, float, str],
) -> tuple[Tensor, LifState]:
    """Call the operator on features flattened in the order they have in memory."""
    axes = FeatureAxes.of(current)
    numbers = [value for value in parameters if not isinstance(value, Tensor)]
    stacked = None
    if len(numbers) < len(parameters):
        stacked = torch.stack([_scalar(value, current) for value in parameters])
        numbers = []
    spikes, final_membrane, final_adaptation = lif_op(
        axes.flatten(current, 2),
        None if membrane is None else axes.flatten(membrane, 1),
        None if adaptation is None else axes.flatten(adaptation, 1),
        stacked,
        numbers,
        *options,
    )
    return axes.restore(spikes, 2), LifState(
        axes.restore(final_membrane, 1),
        None if adaptation is None else axes.restore(final_adaptation, 1),
    )


def _scalar(value: Tensor | float, current: Tensor) -> Tensor:
    if isinstance(value, Tensor):
        return value.to(current.device, torch.float32)
    return torch.full((), value, device=current.device)


def _checked_state(
    current: Tensor, state: LifState | None, *, adaptive: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Membrane, None if it starts from zero, and adaptation, None if there is none."""
    if current.dim() < 2 or current.shape[1] < 1 or not current.is_floating_point():
        raise ArgumentError(
            "current",
            f"{tuple(current.shape)} {current.dtype}",
            "a floating-point tensor (batch, timesteps, *features) with at least one timestep",
        )
    if state is None:
        return None, _zeros(current) if adaptive else None
    membrane, adaptation = state
    if adaptation is not None and not adaptive:
        raise ArgumentError(
            "state", "one with an adaptation current", "without one", "Pass `adaptation_decay`."
        )
    if adaptation is None and adaptive:
        adaptation = _zeros(current)
    return (
        _checked("state.membrane", membrane, current),
        None if adaptation is None else _checked("state.adaptation", adaptation, current),
    )


def _checked(name: str, tensor: Tensor, current: Tensor) -> Tensor:
    shape = current.shape[:1] + current.shape[2:]
    if tensor.shape != shape:
        raise ArgumentError(name, tuple(tensor.shape), f"of shape {tuple(shape)}")
    return tensor.to(torch.promote_types(current.dtype, torch.float32))


def _zeros(current: Tensor) -> Tensor:
    """A state of zeros: without the time axis, in float32 or wider."""
    dtype = torch.promote_types(current.dtype, torch.float32)
    return current.new_zeros(current.shape[:1] + current.shape[2:], dtype=dtype)
