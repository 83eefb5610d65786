"""The arithmetic of differential neurons: of a chip's, in real numbers or integers, and a host's.

A neuron gets `a` at each timestep t and sends `n`, an integer multiple of its smallest event `u`::

    x = x + a w_t                  what it is to encode; from x = start at the first timestep
    m = t (x - r) - l
    n = sign(m) p                  for the largest size p whose reach is not above |m| / u, else 0
    r = r + n u w_t                what its receivers make of its events
    l = l + leak (m - n u)         0 for neurons without a leak

with `w_t = 1 / t`. What comes from the host is the change of x itself, not weighted. In integers
`w_t` and the leak are 12-bit fractions, products are cut off towards zero as those of a chip's
decays are, and x, m, r and l hold 24 bits.

Source: DCGS, ICML 2025, with the timestep written out (`spikeformer.conversion.coding.neuron`).
Between them stand neurons that compute one function f of what they got, on a chip whose neurons are
programs. They send what changed in it since the last timestep, a number of the state's precision::

    x = x + a w_t + c              events are weighted, changes are not; from x = start
    c = f(x) - y,   y = f(x)       from y = 0

A toolchain's worker uses this module too, so it imports NumPy and `groups` alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from spikeformer.conversion.coding.groups import GROUPS

Array = npt.NDArray[Any]

FRACTION_BITS = 12
"""Bits of `w_t` and of the leak in integers, as those of a chip's decays."""


@dataclass(frozen=True)
class Scheme:
    """What all differential neurons of a network share.

    Attributes:
        levels: Powers of two that a size is chosen from.
        mantissa: Bits of a size behind its leading one.
        leak: Share of the remaining membrane that is lost at each timestep.
        max_state: Largest absolute value of a state in integers; 0 computes in real numbers.
    """

    levels: int
    mantissa: int = 0
    leak: float = 0.0
    max_state: int = 0

    @property
    def largest(self) -> int:
        """The largest size of an event, in smallest events."""
        return 1 << (self.levels - 1 + self.mantissa)

    @property
    def sizes(self) -> Array:
        """Sizes of events in units of the smallest, ascending, 0 first."""
        fractions = np.arange(1 << self.mantissa) + (1 << self.mantissa)
        steps = np.left_shift.outer(1, np.arange(self.levels - 1))
        below = np.multiply.outer(steps, fractions).ravel()
        # Rounding may carry into the next power, so that the largest is a power too.
        return np.array([0, *below.tolist(), self.largest], np.int64)

    @property
    def reaches(self) -> Array:
        """From which four times `|m| / u` on each size but 0 is sent, ascending."""
        sizes = self.sizes[1:]
        if not self.mantissa:
            return 3 * sizes  # three quarters of a size
        middles = 2 * (sizes[1:] + sizes[:-1])
        return np.array([4 * sizes[0], *middles.tolist()], np.int64)

    def weighted(self, x: Array, t: Any) -> Array:
        """Return `x w_t`; t is one number or one for each of `x`."""
        return np.asarray(x / t) if not self.max_state else cut(x, np.rint(self.one / t))

    def weight(self, t: int) -> float:
        """Return `w_t`, as what receives events has to know it."""
        return 1.0 / t if not self.max_state else round(self.one / t) / self.one

    @property
    def one(self) -> int:
        """What stands for 1 in fractions of integers."""
        return 1 << FRACTION_BITS


def cut(x: Array, fraction: Any) -> Array:
    """Return integers times a fraction in parts of `Scheme.one`, cut off towards zero."""
    magnitude = np.abs(x) * np.asarray(fraction, np.int64) >> FRACTION_BITS
    return np.where(x < 0, -magnitude, magnitude)


@dataclass
class DifferentialNeurons:
    """A row of differential neurons with their states.

    Args:
        scheme: What they share.
        unit: Smallest event of each, (neurons,): real, or integers above 0.
        start: What each is to encode from the first timestep on, (neurons,).

    Attributes:
        clipped: How often a state has left its range.
        extreme: The largest absolute value of a membrane so far.
    """

    scheme: Scheme
    unit: Array
    start: Array
    clipped: Array = field(init=False)
    extreme: Array = field(init=False)

    def __post_init__(self) -> None:
        dtype = np.int64 if self.scheme.max_state else np.float64
        self.unit, self.start = self.unit.astype(dtype), self.start.astype(dtype)
        self._x, self._r, self._l = (np.zeros(len(self.unit), dtype) for _ in range(3))
        self._sizes, self._reaches = self.scheme.sizes, self.scheme.reaches
        self.clipped = np.zeros(len(self.unit), np.int64)
        self.extreme = np.zeros(len(self.unit))

    def fire(self, summed: Array, changed: Array | float, t: Any) -> Array:
        """Take what arrives at a timestep, and return the events, int64 (neurons,).

        Args:
            summed: What synapses brought, (neurons,).
            changed: What the host sent, (neurons,), or 0.
            t: Number of the timestep from 1, one for all or one for each neuron.
        """
        scheme = self.scheme
        begins = np.asarray(t) == 1
        before = np.where(begins, self.start, self._x)
        r, lost = np.where(begins, 0, self._r), np.where(begins, 0, self._l)
        self._x = self._held(before + scheme.weighted(summed, t) + changed)
        m = self._held(t * (self._x - r) - lost)
        self.extreme = np.maximum(self.extreme, np.abs(m))
        reach = 4 * np.abs(m)
        reach = reach // self.unit if scheme.max_state else reach / self.unit
        size = self._sizes[np.searchsorted(self._reaches, reach, side="right")]
        events = np.where(m < 0, -size, size)
        sent = events * self.unit
        self._r = self._held(r + scheme.weighted(sent, t))
        if scheme.leak:
            rest = m - sent
            share = cut(rest, round(scheme.leak * scheme.one)) if scheme.max_state else None
            self._l = self._held(lost + (scheme.leak * rest if share is None else share))
        return events

    def _held(self, state: Array) -> Array:
        """Return a state within its range, and count what was beyond."""
        most = self.scheme.max_state
        if not most:
            return state
        inside = np.clip(state, -most, most)
        self.clipped += inside != state
        return inside

    @property
    def rate(self) -> Array:
        """What receivers make of the events so far, (neurons,)."""
        return self._r


PRODUCT = "product"
"""Function of two rows of neurons: the first sends its state times that of the second."""


def evaluate(function: str, x: Array) -> Array:
    """Return what neurons with the states `x`, (..., neurons), make of them.

    Args:
        function: Key of `GROUPS`, or `PRODUCT`: the first half of the neurons multiplies with the
            second, which itself sends nothing.
        x: Their states.
    """
    if function != PRODUCT:
        return GROUPS[function](x)
    left, right = np.split(x, 2, axis=-1)
    return np.concatenate([left * right, np.zeros_like(right)], axis=-1)


@dataclass
class FunctionNeurons:
    """A row of neurons that send what changed in a function of their state, in real numbers.

    Args:
        function: As for `evaluate`.
        start: State of each at the first timestep, (neurons,).
    """

    function: str
    start: Array

    def __post_init__(self) -> None:
        self._x = self._y = np.zeros(len(self.start))

    def fire(self, summed: Array, changed: Array | float, t: Any) -> Array:
        """Take what arrives at a timestep, and return the changes, (neurons,).

        Args:
            summed: What events brought, (neurons,).
            changed: What changes brought, of other functions or the host's, (neurons,).
            t: Number of the timestep from 1, one for all or one for each neuron.
        """
        begins = np.asarray(t) == 1
        self._x = np.where(begins, self.start, self._x) + summed / t + changed
        before, self._y = np.where(begins, 0.0, self._y), evaluate(self.function, self._x)
        return np.asarray(self._y - before)
