"""Numbers with a locale's separators, quantities with SI prefixes, dates and direction."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, cast

from babel import lists
from babel.dates import format_datetime
from babel.numbers import format_percent, get_decimal_symbol, get_group_symbol

from spikeformer.i18n.locales import babel_locale, get_locale

_PREFIXES = ("p", "n", "µ", "m", "", "k", "M", "G")


def format_number(value: Any, spec: str = ",", *, locale: str | None = None) -> str:
    """Format a number as Python's `format` does, with the locale's decimal and group separators.

    Args:
        value: A number.
        spec: A format specification of Python, such as ",.0f" or ".3g".
        locale: None is the current.

    Example:
        >>> format_number(1234.5), format_number(1234.5, ",.2f", locale="de")
        ('1,234.5', '1.234,50')
    """
    return format(value, spec).translate(_separators(locale or get_locale()))


def format_percentage(fraction: float, decimals: int = 1) -> str:
    """Format a fraction in percent, the sign where the locale has it.

    Example:
        >>> format_percentage(0.851, decimals=1)
        '85.1%'
    """
    locale = babel_locale(get_locale())
    pattern = locale.percent_formats[None].pattern
    places = f".{'0' * decimals}" if decimals else ""
    return format_percent(fraction, format=pattern.replace("##0", f"##0{places}"), locale=locale)


def format_energy(energy_uj: float, decimals: int = 2) -> str:
    """Format an energy in µJ with the SI prefix that suits it, from pJ to GJ.

    Example:
        >>> format_energy(1500.0)
        '1.50 mJ'
    """
    return _with_prefix(energy_uj, "J", "µ", decimals)


def format_time(seconds: float, decimals: int = 2) -> str:
    """Format a time in s with the SI prefix that suits it; from a minute on, its two largest units.

    Example:
        >>> format_time(0.025), format_time(83), format_time(7500)
        ('25.00 ms', '1 min 23 s', '2 h 5 min')
    """
    if not 59.995 <= abs(seconds) < math.inf:
        return _with_prefix(seconds, "s", "", decimals)
    sign, whole = "-" if seconds < 0 else "", round(abs(seconds))
    if whole < 3600:
        return f"{sign}{whole // 60} min {whole % 60} s"
    minutes = round(abs(seconds) / 60)
    return f"{sign}{format_number(minutes // 60)} h {minutes % 60} min"


def format_date(moment: datetime, pattern: str) -> str:
    """Format a point in time by a pattern of the Unicode CLDR, with the locale's names of months.

    Example:
        >>> format_date(datetime(2026, 1, 31, 12), "d MMMM y, HH:mm")
        '31 January 2026, 12:00'
    """
    return format_datetime(moment, pattern, locale=babel_locale(get_locale()))


def format_list(items: Iterable[str], style: Literal["standard", "or"] = "standard") -> str:
    """Join texts as the locale does, with its word for "and", or that for "or".

    Example:
        >>> format_list(["1", "2", "3"]), format_list(["x86_64", "arm64"], "or")
        ('1, 2, and 3', 'x86_64 or arm64')
    """
    return lists.format_list(list(items), style=style, locale=babel_locale(get_locale()))


def text_direction() -> Literal["ltr", "rtl"]:
    """Return in which direction the current locale is written."""
    return cast(Literal["ltr", "rtl"], babel_locale(get_locale()).text_direction)


def _with_prefix(value: float, unit: str, prefix: str, decimals: int) -> str:
    """Choose the prefix with which one to three digits stand before the decimal point."""
    place = _PREFIXES.index(prefix)
    if value and math.isfinite(value):
        just_one = 1 - 0.5 * 10.0**-decimals / 1000  # 999.999 is 1000.00, and so 1.00 of the next
        size = math.floor(math.log10(abs(value) / just_one) / 3)
        shift = min(max(size, -place), len(_PREFIXES) - 1 - place)
        place, value = place + shift, value / 1000.0**shift
    return f"{format_number(value, f',.{decimals}f')} {_PREFIXES[place]}{unit}"


@lru_cache(maxsize=64)
def _separators(locale: str) -> dict[int, str]:
    known = babel_locale(locale)
    return {ord("."): get_decimal_symbol(known), ord(","): get_group_symbol(known)}
