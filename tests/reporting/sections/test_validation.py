"""What the validate stages found, on the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spikeformer.i18n import use_locale
from spikeformer.reporting.sections.validation import validation
from spikeformer.runs import RunResults, TestResults, ValidationResults
from spikeformer.validation import ValidationLevel, ValidationResult

EMPTY = RunResults(Path("run"), "run")


def found(*levels: str) -> ValidationResults:
    results = [ValidationResult(ValidationLevel(name), f"a {name}", "here") for name in levels]
    return ValidationResults(ValidationLevel.STRICT, results)


def test_validation_is_left_out_where_nothing_was_found():
    assert validation(EMPTY) is None
    assert validation(replace(EMPTY, validation={"validate": found()})) is None


def test_validation_shows_the_worst_first_and_when_it_was_found():
    stages = {"validate": found("info", "warning"), "validate_trained": found("critical", "info")}
    values = validation(replace(EMPTY, validation=stages)).values
    assert [(row["level"], row["message"]) for row in values["rows"]] == [
        ("critical", "a critical"),
        ("warning", "a warning"),
        ("info", "a info"),
        ("info", "a info"),
    ]
    assert [row["when"] for row in values["rows"]] == [
        "after training",
        "before training",
        "before training",
        "after training",
    ]
    counts = [part.split()[0] for part in values["headline"].split(", ")]
    assert counts == ["1", "1", "2"]


def test_layers_are_named_as_everywhere_on_the_page():
    results = [
        ValidationResult(ValidationLevel("info"), "x", place) for place in ("net.a.b", "train")
    ]
    validated = {"validate": ValidationResults(ValidationLevel.STRICT, results)}
    test = TestResults({}, firing_rates={"net.a.b": 0.1, "net.c": 0.2})
    values = validation(replace(EMPTY, validation=validated, test=test)).values
    assert [row["location"] for row in values["rows"]] == ["a.b", "train"]
    assert "net." in values["prefix_note"]
    without = validation(replace(EMPTY, validation=validated)).values
    assert [row["location"] for row in without["rows"]] == ["net.a.b", "train"]
    assert without["prefix_note"] == ""


def test_validation_speaks():
    stages = {"validate": found("warning")}
    with use_locale("de"):
        values = validation(replace(EMPTY, validation=stages)).values
    assert values["rows"][0]["when"] == "vor dem Training"
