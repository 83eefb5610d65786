"""Energies that are not known exactly, what one operation costs, and how to print them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spikeformer.error_handling import ArgumentError
from spikeformer.i18n import format_number


@dataclass(frozen=True)
class Range:
    """A quantity with its bounds.

    Args:
        low: Lower bound; 0 where none is known.
        value: The figure to print.
        high: Upper bound.

    Raises:
        ArgumentError: The three are not in order.

    Example:
        >>> 2 * Range(1.0, 2.0, 4.0) + Range.exactly(1.0)
        Range(low=3.0, value=5.0, high=9.0)
    """

    low: float
    value: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            values = (self.low, self.value, self.high)
            raise ArgumentError("low, value, high", values, "three numbers in ascending order")

    @classmethod
    def exactly(cls, value: float) -> Range:
        """Return a quantity without uncertainty."""
        return cls(value, value, value)

    @classmethod
    def total(cls, parts: Iterable[Range]) -> Range:
        """Return the sum of ranges whose errors go together: low with low, high with high."""
        return sum(parts, start=cls.exactly(0.0))

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.value + other.value, self.high + other.high)

    def __mul__(self, factor: float) -> Range:
        return Range(self.low * factor, self.value * factor, self.high * factor)

    __rmul__ = __mul__


@dataclass(frozen=True)
class Cost:
    """Energy of one operation in pJ and where the figure is from.

    Args:
        energy_pj: The energy with its bounds, in pJ.
        source: Publication, with what in it was used.
    """

    energy_pj: Range
    source: str

    def times(self, count: float) -> Range:
        """Return the energy of so many operations in pJ."""
        return self.energy_pj * count


def energy_text(energy_uj: float) -> str:
    """Return an energy with three significant digits and a unit that suits it.

    Example:
        >>> [energy_text(x) for x in (0.0, 0.0123, 4.5, 1234.5, 2.5e7)]
        ['0 µJ', '12.3 nJ', '4.50 µJ', '1.23 mJ', '25.0 J']
    """
    if energy_uj == 0:
        return "0 µJ"
    for size, unit in ((1e6, "J"), (1e3, "mJ"), (1.0, "µJ"), (1e-3, "nJ")):
        if energy_uj >= 0.9995 * size:
            return _three_digits(energy_uj / size, unit)
    return _three_digits(energy_uj * 1e6, "pJ")


def _three_digits(value: float, unit: str) -> str:
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{format_number(value, f'.{digits}f')} {unit}"
