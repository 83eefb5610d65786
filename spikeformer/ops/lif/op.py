"""The public `lif` function: checks its arguments, picks a backend and runs it."""

from __future__ import annotations

from torch import Tensor

from spikeformer.ops.layout import FeatureAxes
from spikeformer.ops.lif.dynamics import Dynamics, LifState
from spikeformer.ops.lif.operator import run_lif
from spikeformer.ops.lif.reference import lif_reference


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
    max_spikes: int | None = None,
    with_state: bool = True,
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

    With `max_spikes` = D a neuron fires integers: n spikes at once, and the output is n / D.

        n[t]  = round(clip(v'[t] / threshold, 0, D))    (ties to the even number)
        v[t]  = v'[t] - threshold n[t]

    Backward takes the derivative of the rounding as one, so the gradient passes where
    0 <= v' / threshold <= D; surrogates have no part in it.

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
        max_spikes: D, the most spikes of a neuron in one timestep, for reset "subtract" without
            adaptation; None means spikes 0 or 1.
        with_state: Whether the caller needs the state. Without, and without adaptation, kernels on
            CPUs do not write the membrane, which returns empty.
        backend: One of `BACKENDS`; "auto" picks by device.

    Returns:
        Spikes 0 or 1, or n / D, with the shape, dtype and memory layout of `current`, and the state
        after the last timestep, (batch, *features), float32 (float64 for float64 input).

    Raises:
        ArgumentError: If an argument is outside its documented range or the state does not fit.
        BackendUnavailableError: If an explicit backend cannot run on the current's device.

    References:
        Neftci, Mostafa & Zenke 2019, arXiv:1901.09948 (surrogate gradients); Fang et al. 2021,
        arXiv:2007.05785 (learnable decay); Bellec et al. 2018, arXiv:1803.09574 (adaptation); Luo
        et al. 2024, arXiv:2407.20708 (integers); Yao et al. 2025, doi:10.1109/TPAMI.2025.3530246
        (their normalised output).

    Example:
        >>> spikes, state = lif(torch.full((1, 4, 1), 0.5), decay=1.0)
        >>> spikes.flatten().tolist()
        [0.0, 1.0, 0.0, 1.0]
    """
    dynamics, (membrane, adaptation) = Dynamics.of(
        "lif",
        current,
        state,
        decay=decay,
        threshold=threshold,
        reset=reset,
        detach_reset=detach_reset,
        surrogate=surrogate,
        slope=slope,
        adaptation_decay=adaptation_decay,
        adaptation_strength=adaptation_strength,
        max_spikes=max_spikes,
        backend=backend,
    )
    if dynamics.backend == "reference":
        return lif_reference(current, (membrane, adaptation), dynamics)
    # Features flattened in the order they have in memory, so that this moves none.
    axes = FeatureAxes.of(current)
    keep = with_state or adaptation is not None or dynamics.backend != "cpu"
    spikes, final_membrane, final_adaptation = run_lif(
        axes.flatten(current, 2),
        None if membrane is None else axes.flatten(membrane, 1),
        None if adaptation is None else axes.flatten(adaptation, 1),
        *dynamics.for_operator(current.device),
        keep,
    )
    return axes.restore(spikes, 2), LifState(
        axes.restore(final_membrane, 1) if keep else final_membrane,
        None if adaptation is None else axes.restore(final_adaptation, 1),
    )
