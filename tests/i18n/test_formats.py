from __future__ import annotations

import math
from datetime import datetime

import pytest

from spikeformer.i18n import (
    available_locales,
    format_date,
    format_energy,
    format_list,
    format_number,
    format_percentage,
    format_time,
    text_direction,
    use_locale,
)

NARROW, HARD = "\u202f", "\u00a0"


def test_the_examples_of_the_reference():
    assert format_energy(1500.0) == "1.50 mJ"
    assert format_time(0.025) == "25.00 ms"
    assert format_percentage(0.851, decimals=1) == "85.1%"


@pytest.mark.parametrize(
    ("energy", "shown"),
    [
        (0, "0.00 µJ"), (1, "1.00 µJ"), (0.5, "500.00 nJ"), (999.994, "999.99 µJ"),
        (999.995001, "1.00 mJ"), (1e3, "1.00 mJ"), (1e6, "1.00 J"), (-2.5e6, "-2.50 J"),
        (3.6e12, "3.60 MJ"), (1e20, "100,000.00 GJ"), (1e-6, "1.00 pJ"), (1e-10, "0.00 pJ"),
        (math.inf, "inf µJ"), (math.nan, "nan µJ"),
    ],
)  # fmt: skip
def test_energies(energy, shown):
    assert format_energy(energy) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.00 s"), (2.5e-9, "2.50 ns"), (1e-5, "10.00 µs"), (1, "1.00 s"), (59.99, "59.99 s"),
        (59.999, "1 min 0 s"), (-83, "-1 min 23 s"), (3599.6, "1 h 0 min"), (7500, "2 h 5 min"),
        (3.6e6, "1,000 h 0 min"), (math.inf, "inf s"),
    ],
)  # fmt: skip
def test_times(seconds, shown):
    assert format_time(seconds) == shown


def test_decimals():
    assert format_energy(1234.5, decimals=0) == "1 mJ"
    assert format_energy(999.6, decimals=0) == "1 mJ"
    assert format_time(0.0123456, decimals=3) == "12.346 ms"
    assert format_percentage(0.12345, 2) == "12.34%"  # halves go to the even digit
    assert format_percentage(0.5, 0) == "50%"


@pytest.mark.parametrize(
    ("locale", "number", "energy", "percentage"),
    [
        ("en", "1,234,567.5", "1.50 mJ", "85.1%"),
        ("es", "1.234.567,5", "1,50 mJ", f"85,1{HARD}%"),
        ("es-MX", "1,234,567.5", "1.50 mJ", "85.1%"),
        ("fr", f"1{NARROW}234{NARROW}567,5", "1,50 mJ", f"85,1{HARD}%"),
        ("de", "1.234.567,5", "1,50 mJ", f"85,1{HARD}%"),
        ("pt", "1.234.567,5", "1,50 mJ", "85,1%"),
        ("pt-PT", f"1{HARD}234{HARD}567,5", "1,50 mJ", "85,1%"),
        ("zh", "1,234,567.5", "1.50 mJ", "85.1%"),
        ("ja", "1,234,567.5", "1.50 mJ", "85.1%"),
        ("ar", "1,234,567.5", "1.50 mJ", "85.1%"),
    ],
)
def test_separators_are_the_locale_s(locale, number, energy, percentage):
    with use_locale(locale):
        assert format_number(1234567.5) == number
        assert format_energy(1500.0) == energy
        assert format_percentage(0.851) == percentage


def test_numbers_follow_python_s_format():
    assert format_number(0.000123, ".3g") == "0.000123"
    assert format_number(-1234.5, ",.0f", locale="de") == "-1.234"
    assert format_number(math.nan, ".2f", locale="es") == "nan"


def test_lists_have_the_locale_s_words():
    assert [format_list(["1", "2"], style) for style in ("standard", "or")] == ["1 and 2", "1 or 2"]
    with use_locale("ja"):
        assert format_list(["1", "2", "3"]) == "1、2、3"
    with use_locale("es"):
        assert format_list(["x", "y"], "or") == "x o y"


def test_dates_have_the_locale_s_months():
    moment = datetime(2026, 3, 1, 9, 5)
    with use_locale("es"):
        assert format_date(moment, "d 'de' MMMM 'de' y, HH:mm") == "1 de marzo de 2026, 09:05"
    assert format_date(moment, "d MMMM y, HH:mm") == "1 March 2026, 09:05"


def test_arabic_alone_is_written_from_the_right():
    directions = {}
    for locale in available_locales():
        with use_locale(locale):
            directions[locale] = text_direction()
    assert {locale for locale, direction in directions.items() if direction == "rtl"} == {"ar"}
