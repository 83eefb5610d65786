"""The public `norm_lif` function: checks its arguments, picks a backend and runs it."""

from __future__ import annotations

from math import prod
from typing import Unpack

from torch import Tensor

from spikeformer.error_handling import ArgumentError
from spikeformer.ops.layout import FeatureAxes
from spikeformer.ops.lif.dynamics import Dynamics, LifArguments, LifState
from spikeformer.ops.norm_lif.operator import follow, run_norm_lif
from spikeformer.ops.norm_lif.reference import norm_lif_reference


def norm_lif(
    current: Tensor,
    state: LifState | None = None,
    *,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
    channel_axis: int = -1,
    with_state: bool = True,
    **neuron: Unpack[LifArguments],
) -> tuple[Tensor, LifState]:
    """Batch norm of each channel over batch, time and tokens, then `lif`, in one pass over memory.

        y = weight (current - mean) / sqrt(variance + eps) + bias
        spikes, state = lif(y, state, ...)

    While training, mean and variance are those of `current`, and the running statistics move
    towards them in place, exactly as in `torch.nn.BatchNorm1d`; otherwise they are the running
    ones. The normalised current exists in registers only, in float32 whatever the input is.

    Args:
        current: Input current, (batch, timesteps, *features).
        state: State after an earlier call; None starts from zero.
        weight: Factor of each channel, (channels,).
        bias: Summand of each channel, (channels,), in units of the threshold.
        running_mean: Running mean of each channel, (channels,); updated while training.
        running_var: Running unbiased variance of each channel, (channels,); updated too.
        training: Normalise by the batch's statistics rather than by the running ones.
        momentum: Share of the batch in the running statistics.
        eps: Added to the variance.
        channel_axis: Axis of the channels, neither batch nor time.
        with_state: Whether the caller needs the state. Without, and without adaptation, kernels on
            CPUs do not write the membrane, which returns empty: at T=1 a third of all memory that
            they touch.
        **neuron: Arguments of `lif`: `decay`, `threshold`, `reset` and so on, and `backend`.

    Returns:
        Spikes and state as `lif` returns them.

    Raises:
        ArgumentError: If an argument is outside its documented range, the state or a channel
            vector does not fit, or there is but one value a channel while training.
        BackendUnavailableError: If an explicit backend cannot run on the current's device.

    References:
        Ioffe & Szegedy 2015, arXiv:1502.03167.

    Example:
        >>> mean, var = torch.zeros(1), torch.ones(1)
        >>> one = dict(weight=torch.ones(1), bias=torch.zeros(1))
        >>> current = torch.tensor([[[-1.0], [1.0]]])
        >>> statistics = dict(running_mean=mean, running_var=var, training=True)
        >>> norm_lif(current, **one, **statistics, decay=0.5, threshold=0.4)[0].flatten().tolist()
        [0.0, 1.0]
    """
    dynamics, checked = Dynamics.of("norm_lif", current, state, **neuron)
    channel_axis = channel_axis % current.dim()
    channels = current.shape[channel_axis]
    vectors = {"weight": weight, "bias": bias, "running_mean": running_mean}
    if channel_axis < 2:
        raise ArgumentError("channel_axis", channel_axis, "a feature axis: neither batch nor time")
    check_channels(channels, {**vectors, "running_var": running_var})
    count = current.numel() // max(1, channels)
    if training and count == 1:
        got = tuple(current.shape)
        raise ArgumentError("current", got, "more than one value a channel while training")
    moments = None if training and count else (running_mean, running_var)
    if dynamics.backend == "reference":
        spikes, final, used = norm_lif_reference(
            current,
            checked,
            dynamics,
            weight=weight,
            bias=bias,
            moments=moments,
            eps=eps,
            channel_axis=channel_axis,
        )
    else:
        membrane, adaptation = checked
        axes = FeatureAxes.of(current)
        keep = with_state or adaptation is not None or dynamics.backend != "cpu"
        behind = axes.order.index(channel_axis - 2) + 1
        spikes, final_membrane, final_adaptation, *used = run_norm_lif(
            axes.flatten(current, 2),
            weight,
            bias,
            *(moments or (None, None)),
            None if membrane is None else axes.flatten(membrane, 1),
            None if adaptation is None else axes.flatten(adaptation, 1),
            *dynamics.for_operator(current.device),
            prod(axes.sizes[behind:]),
            eps,
            keep,
        )
        spikes = axes.restore(spikes, 2)
        final = LifState(
            axes.restore(final_membrane, 1) if keep else final_membrane,
            None if adaptation is None else axes.restore(final_adaptation, 1),
        )
    if training and count:
        follow((running_mean, running_var), used, count, momentum)
    return spikes, final


def check_channels(channels: int, vectors: dict[str, Tensor]) -> None:
    """Refuse vectors that are not (channels,)."""
    for name, vector in vectors.items():
        if vector.shape != (channels,):
            raise ArgumentError(name, tuple(vector.shape), f"of shape {(channels,)}")
