from __future__ import annotations

from spikeformer.cli.text import padded, table, width


def test_letters_of_chinese_take_two_columns():
    assert (width("层"), padded("层", 4), padded("层", 4, right=True)) == (2, "层  ", "  层")


def test_columns_are_aligned():
    rows = [("name", "kind", "n"), ("层", "a", "10"), ("x", "long", "3")]
    assert table(rows, names=2) == ["name  kind   n", "层    a     10", "x     long   3"]
