from __future__ import annotations

import math

import pytest

from spikeformer.reporting import formats


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.98888, "98.9 %"),
        (0.9999, "99.99 %"),
        (0.999999, "99.99 %"),
        (0.00001, "< 0.1 %"),
        (math.nan, "n/a"),
    ],
)
def test_percent_is_never_rounded_to_a_perfect_score(fraction: float, shown: str) -> None:
    assert plain(formats.percent(fraction)) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (9.96, "10 s"),
        (59.7, "1 min 0 s"),
        (3599.6, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_duration_carries_over(seconds: float, shown: str) -> None:
    assert plain(formats.duration(seconds)) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (999, "999"), (1000, "1.00 k"), (999_999, "1.00 M"), (12_345_678, "12.3 M")],
)
def test_count(value: int, shown: str) -> None:
    assert plain(formats.count(value)) == shown


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("accuracy", 0.5, "50.0 %"),
        ("val/top5_accuracy", 0.25, "25.0 %"),
        ("loss", 0.07134, "0.07134"),
        ("perplexity", 12345.6, "12,346"),
        ("mse", math.inf, "inf"),
    ],
)
def test_metric_value(name: str, value: float, shown: str) -> None:
    assert plain(formats.metric_value(name, value)) == shown


def test_names_lose_only_whole_parts() -> None:
    assert formats.without_common_prefix(["a.bc.x", "a.bd.y"]) == ["bc.x", "bd.y"]
    assert formats.without_common_prefix(["a.b"]) == ["a.b"]
    assert formats.without_common_prefix(["ab", "ac"]) == ["ab", "ac"]


def test_most_names_lose_a_prefix_and_the_note_says_which_do_not() -> None:
    names = ["net.stem.conv", "net.stem.norm", "net.block.mlp", "head.readout"]
    assert formats.without_common_prefix(names) == ["stem.conv", "stem.norm", "block.mlp", names[3]]
    note = formats.prefix_note(names)
    assert "<code>net.</code>" in note
    assert "<code>head</code>" in note
    assert "head" not in formats.prefix_note(names[:3])
    # Half of them share it, and a name could be that of another layer.
    for names in (["a.b", "a.c", "b.d", "b.e"], ["a.b", "a.c", "a.d.x", "d.y"]):
        assert formats.without_common_prefix(names) == names
        assert formats.prefix_note(names) == ""


@pytest.mark.parametrize("cut", [formats.shorten, formats.tail])
def test_long_names_are_cut_to_the_length(cut: object) -> None:
    assert cut("short", 5) == "short"
    assert len(cut("a\nmuch longer name", 8)) == 8
    assert "\n" not in cut("a\nb", 8)
