"""Whether a tensor holds spikes, and how many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Kind = Literal["spikes", "graded", "real"]


class Contents(NamedTuple):
    """What is in an operand.

    Attributes:
        kind: "spikes" are integer numbers of events, "graded" ones are events that carry a value,
            "real" any values.
        size: Events at each place: the spikes, or 1 where a value is not zero.
        unit_steps: Binary steps that a timestep stands for, where spikes are those of integer
            neurons.
    """

    kind: Kind
    size: Tensor
    unit_steps: int = 1


def contents(
    x: Tensor, *, spiking: bool, levels: Sequence[int] = (), unit_steps: int = 1
) -> Contents:
    """Look at the values of an operand.

    Zeros and ones (of any sign) are spikes wherever they come from. In a spiking network other
    integers are spikes too, several at once, and fractions of one of `levels` are graded. Between
    integer neurons alone, D = `unit_steps`, fractions n / D are n spikes.

    Args:
        x: Floating-point values.
        spiking: Whether the network has spiking neurons.
        levels: Levels of its graded neurons.
        unit_steps: D of its neurons, if `x` comes from them; 1 otherwise.
    """
    x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    if unit_steps > 1 and _whole(x * unit_steps):
        return Contents("spikes", (x.abs() * unit_steps).round(), unit_steps)
    exact = x.flatten().double()
    number, total = int(exact.count_nonzero()), float(exact.sum())
    square = float(exact.dot(exact))
    # sum over non-zero x of (x - 1)^2, which is 0 if they are all 1
    if square - 2 * total + number == 0:
        return Contents("spikes", x)
    fired = torch.ne(x, 0, out=torch.empty_like(x))
    if square == number and float(exact.abs().sum()) == number:
        return Contents("spikes", fired)
    if spiking and _whole(x):
        return Contents("spikes", x.abs())
    if spiking and any(_whole(x * level) for level in levels):
        return Contents("graded", fired)
    return Contents("real", fired)


def _whole(x: Tensor) -> bool:
    """Whether all values are integers; a few of them usually show that they are not."""
    few = x.flatten()[:1024]
    return all(bool(((part - part.round()).abs() < 1e-4).all()) for part in (few, x))
