"""The neuron that encodes a stream of rates as spikes.

A message is carried as the rate that its receiver has accumulated so far. For differential coding
(DCGS, ICML 2025) with events `s_t` the receiver holds `r_t = r_{t-1} + s_t / t`, and the membrane
of the neuron that sends them comes out as a function of the two rates,

    m_t = t (x_t - r_{t-1}) - L_{t-1}      x_t: what the neuron is to encode, r: what it has encoded
    s_t = sign(m_t) l    for the largest level l = θ 2^-i with |m_t| >= p l, else 0
    r_t = r_{t-1} + s_t / t
    L_t = L_{t-1} + leak (m_t - s_t)       what has leaked away by now; 0 for IF

so that a neuron's whole state is `r` (and `L` for LIF). Plain binary rate coding differs in what a
spike is worth to the receiver: `r_t = (1/t) Σ s`, `m_t = t x_t - (t-1) r_{t-1} - L_{t-1}`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from spikeformer.conversion.coding import kernel
from spikeformer.conversion.coding.coding import Coding


class NeuronState(NamedTuple):
    """What a population of neurons keeps between timesteps.

    Attributes:
        rate: What its events add up to, shape of the activation.
        lost: What has leaked out of its membranes, likewise; None for IF.
    """

    rate: Tensor
    lost: Tensor | None


class Fired(NamedTuple):
    """What a population did in some timesteps.

    Attributes:
        rates: The receiver's rate after each of them, (steps, *shape); no steps where only
            multiples were asked for.
        state: The state after the last one.
        events: How many neurons emitted an event in each, (steps,) int64.
        finite: Whether all that they had to encode was finite.
        multiples: The events in bytes, as `integers` takes them, (steps, *shape) uint8; None
            unless asked for.
    """

    rates: Tensor
    state: NeuronState
    events: Tensor
    finite: bool
    multiples: Tensor | None = None


def fire(
    rates: Tensor,
    theta: Tensor,
    state: NeuronState | None,
    first_step: int,
    coding: Coding,
    wants: tuple[bool, bool] = (True, False),
) -> Fired:
    """Encode a stream of rates as events, some timesteps of it.

    Args:
        rates: What there is to encode at each timestep, (steps, *shape), any memory layout.
        theta: The largest level, above 0; broadcasts against `shape`.
        state: What the timesteps before left; None at the first.
        first_step: Number of the first timestep here; the first of all is 1.
        coding: How. Radix coding needs all its timesteps at once and looks at the last rate alone.
        wants: Whether to return rates, and multiples; the latter need `kernel.takes(rates)`.

    Example:
        >>> x = torch.full((4, 1), 0.3)
        >>> fire(x, torch.tensor([1.0]), None, 1, Coding(neuron_model="IF")).rates.flatten()
        tensor([0.2500, 0.3125, 0.3021, 0.3001])
    """
    theta = theta.to(_precision(rates))
    if coding.encoding == "radix":
        return _digits(rates, theta, coding, first_step + len(rates) - 1)
    if kernel.takes(rates):
        return _fused(rates, theta, state, first_step, coding, wants)
    return _stepwise(rates, theta, state, first_step, coding)


def _fused(
    rates: Tensor,
    theta: Tensor,
    state: NeuronState | None,
    first_step: int,
    coding: Coding,
    wants: tuple[bool, bool],
) -> Fired:
    """Walk through time block by block, in the order in which the activation lies in memory."""
    shape = rates.shape[1:]
    order = sorted(range(len(shape)), key=lambda axis: -rates.stride(axis + 1))
    x = rates.permute(0, *(axis + 1 for axis in order))
    if not x[0].is_contiguous():
        x = x.contiguous()
    theta = theta.expand(shape if theta.ndim else ()).permute(order if theta.ndim else ())
    rate = torch.zeros_like(x[0]) if state is None else state.rate.permute(order).contiguous()
    lost = None
    if coding.leak:
        before = None if state is None else state.lost
        lost = torch.zeros_like(rate) if before is None else before.permute(order).contiguous()
    encoded = kernel.run(x, _period(theta), rate, lost, first_step, coding, wants)
    inverse = [order.index(axis) for axis in range(len(shape))]
    axes = (0, *(axis + 1 for axis in inverse))
    after = NeuronState(rate.permute(inverse), None if lost is None else lost.permute(inverse))
    multiples = encoded.multiples.permute(axes) if wants[1] else None
    return Fired(encoded.rates.permute(axes), after, encoded.events, encoded.finite, multiples)


def _period(theta: Tensor) -> Tensor:
    """Cut an expanded tensor down to the part that memory order repeats."""
    while theta.ndim and theta.stride(0) == 0:
        theta = theta[0]
    return theta.reshape(-1)


def _stepwise(
    rates: Tensor, theta: Tensor, state: NeuronState | None, first_step: int, coding: Coding
) -> Fired:
    """The equations above one after the other, for any device and precision."""
    x = rates.to(_precision(rates))
    rate = torch.zeros_like(x[0]) if state is None else state.rate
    lost = torch.zeros_like(x[0]) if state is None or state.lost is None else state.lost
    encoded = torch.empty_like(x)
    events = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    for index, target in enumerate(x):
        step = first_step + index
        kept = rate if coding.encoding == "rate" else rate * ((step - 1) / step)
        membrane = step * (target - kept) - lost
        spikes = level(membrane, theta, coding)
        events[index] = spikes.count_nonzero()
        rate = kept + spikes / step
        lost = lost + coding.leak * (membrane - spikes)
        encoded[index] = rate
    after = NeuronState(rate, lost if coding.leak else None)
    return Fired(encoded.to(rates.dtype), after, events, bool(torch.isfinite(x).all()))


def _precision(rates: Tensor) -> torch.dtype:
    """What neurons compute in: float32, or float64 for a network in it."""
    return torch.float64 if rates.dtype == torch.float64 else torch.float32


def level(membrane: Tensor, theta: Tensor, coding: Coding) -> Tensor:
    """Return the event that a membrane emits: the largest size within its reach, or 0."""
    reach = membrane.abs() / (coding.firing_point * theta)
    # The largest power of two that is not above it, or with a mantissa the nearest size.
    double = reach.dtype == torch.float64
    half, mask = coding.rounding(52 if double else 23)
    bits = torch.int64 if double else torch.int32
    power = ((reach.view(bits) + half) & mask).view(reach.dtype).clamp(max=1.0)
    power = torch.where(reach >= 2.0 ** (1 - coding.num_levels), power, 0.0)
    return torch.copysign(power * theta, membrane)


def _digits(rates: Tensor, theta: Tensor, coding: Coding, num_steps: int) -> Fired:
    """Encode the last rate in `num_steps` signed binary digits, the largest first."""
    membrane = rates[-1].to(_precision(rates))
    finite = bool(torch.isfinite(membrane).all())
    rate = torch.zeros_like(membrane)
    events = torch.zeros((), dtype=torch.int64, device=membrane.device)
    for step in range(num_steps):
        digit = level(membrane, theta * 2.0**-step, coding)
        events += digit.count_nonzero()
        rate = rate + digit
        membrane = (1.0 - coding.leak) * (membrane - digit)
    encoded = rate.to(rates.dtype).expand(rates.shape)
    # All digits come before the receiver starts: they are counted with the last timestep.
    counts = torch.zeros(len(rates), dtype=torch.int64, device=membrane.device)
    counts[-1] = events
    return Fired(encoded, NeuronState(rate, None), counts, finite)


def num_neurons(fired: Fired) -> int:
    """Return the size of the population."""
    return fired.state.rate.numel()
