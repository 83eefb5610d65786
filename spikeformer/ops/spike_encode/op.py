"""The public `spike_encode` function and its operator of torch."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from spikeformer.error_handling import (
    ArgumentError,
    check_choice,
    check_interval,
    check_positive_int,
)
from spikeformer.ops.dispatch import load_kernels, resolve_backend
from spikeformer.ops.memory import empty_like
from spikeformer.ops.spike_encode.reference import spike_encode_reference

CODES = ("rate", "poisson", "latency", "delta")
# Those that are defined for values that change in time.
_SIGNAL_CODES = ("poisson", "delta")


def spike_encode(
    x: Tensor,
    timesteps: int | None,
    *,
    code: str = "rate",
    max_probability: float = 1.0,
    seed: int | Tensor = 0,
    stream: int | Tensor = 0,
    threshold: float = 0.1,
    backend: str = "auto",
) -> Tensor:
    """Spike trains that carry values in their rate, their time or their sign.

    With T timesteps, numbered from 0, and a tracker r that starts at 0:

        s[t] = floor(x (t + 1) + 1/2) - floor(x t + 1/2)                        (code "rate")
        s[t] = 1 if u[t] < x[t] max_probability, u uniform in [0, 1), else 0    ("poisson")
        s[t] = 1 if t = round((1 - x) (T - 1)) and x > 0, else 0                ("latency")
        s[t] = sign(x[t] - r[t-1]) if |x[t] - r[t-1]| >= threshold, else 0      ("delta")
        r[t] = r[t-1] + threshold s[t]

    Random numbers are a function of seed, stream, sample, timestep and feature alone (Philox-4x32
    on a counter), so they are the same on every backend, device and memory layout. No gradient
    reaches x: spike trains are piecewise constant in it.

    Args:
        x: Values (batch, *features), held for all timesteps, from 0 to 1, for "delta" of any sign.
            With `timesteps` None it has a time axis of its own, (batch, timesteps, *features).
        timesteps: Length of the spike trains; None, for "poisson" and "delta", is that of `x`.
        code: One of `CODES`.
        max_probability: Probability that the value 1 fires in a timestep, from 0 to 1; "poisson".
        seed: Seed of the random numbers, of 64 bits; an int64 tensor with one element stays on its
            device. "poisson".
        stream: Which of the seed's 2^32 independent sequences to draw, as a number or a tensor;
            "poisson".
        threshold: Change that one spike stands for, above 0; "delta".
        backend: One of `BACKENDS`; "auto" picks by device.

    Returns:
        Spikes (batch, timesteps, *features) in the dtype of `x`: 0 or 1, for "delta" also -1.

    Raises:
        ArgumentError: If an argument is outside its documented range. Values are not looked at.
        BackendUnavailableError: If an explicit backend cannot run on the device of `x`.

    References:
        Salmon et al. 2011, doi:10.1145/2063384.2063405 (Philox); Thorpe, Delorme & Van Rullen
        2001, doi:10.1016/S0893-6080(01)00083-1 (latency); Miskowicz 2006, doi:10.3390/s6010049
        (delta).

    Example:
        >>> spike_encode(torch.tensor([[0.25, 0.5]]), 4)[0].T.tolist()
        [[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0]]
    """
    check_choice("code", code, CODES)
    signal = _signal(x, timesteps, code)
    num_steps = signal.shape[1] if timesteps is None else timesteps
    parameter, key = 0.0, None
    if code == "poisson":
        parameter = check_interval("max_probability", max_probability, 0.0, 1.0)
        key = torch.stack([_word("seed", seed, x), _word("stream", stream, x)])
    elif code == "delta":
        # Compares without `math.isfinite`, which torch.compile cannot trace on a dynamic number.
        if not 0 < threshold < math.inf:
            raise ArgumentError("threshold", threshold, "a finite number above 0")
        parameter = threshold
    kernel = resolve_backend(backend, x.device, op="spike_encode", dtype=x.dtype)
    x_btf = signal.detach().unsqueeze(-1).flatten(2)
    if kernel == "reference":
        spikes = spike_encode_reference(x_btf, num_steps, code, parameter, key)
    else:
        spikes = spike_encode_op(x_btf, num_steps, code, parameter, key, kernel)
    return spikes.reshape(x.shape[0], num_steps, *signal.shape[2:])


@torch.library.custom_op("spikeformer::spike_encode", mutates_args=())
def spike_encode_op(
    x_btf: Tensor,
    timesteps: int,
    code: str,
    parameter: float,
    key: Tensor | None,
    backend: str,
) -> Tensor:
    """Spikes (b, t, f) of values (b, t, f) or (b, 1, f); the arguments are the reference's."""
    return load_kernels("spike_encode", backend).forward(x_btf, timesteps, code, parameter, key)


@spike_encode_op.register_fake
def _(x_btf: Tensor, timesteps: int, *_: Any) -> Tensor:
    return empty_like(x_btf, (x_btf.shape[0], timesteps, x_btf.shape[2]))


def _signal(x: Tensor, timesteps: int | None, code: str) -> Tensor:
    """`x` with a time axis, of length 1 where its values are held."""
    axes = 1 if timesteps is not None else 2
    if x.dim() < axes or not x.is_floating_point():
        expected = "(batch, *features)" if axes == 1 else "(batch, timesteps, *features)"
        raise ArgumentError(
            "x", f"{tuple(x.shape)} {x.dtype}", f"a floating-point tensor {expected}"
        )
    if timesteps is not None:
        check_positive_int("timesteps", timesteps)
        return x.unsqueeze(1)
    if code not in _SIGNAL_CODES or x.shape[1] < 1:
        raise ArgumentError(
            "timesteps", timesteps, f"an integer for {code!r} and {tuple(x.shape)} values"
        )
    return x


def _word(argument: str, value: int | Tensor, x: Tensor) -> Tensor:
    if isinstance(value, Tensor):
        if value.numel() != 1 or value.dtype != torch.int64:
            got = f"{tuple(value.shape)} {value.dtype}"
            raise ArgumentError(argument, got, "an integer or an int64 tensor with one element")
        return value.to(x.device).reshape(())
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise ArgumentError(argument, value, "an integer of 64 bits")
    return torch.full((), value, dtype=torch.int64, device=x.device)
