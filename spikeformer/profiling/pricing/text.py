"""Energies as a reader wants to meet them."""

from __future__ import annotations

from spikeformer.i18n import format_number


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
