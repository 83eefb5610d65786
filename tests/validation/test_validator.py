"""Levels, results, and no false alarm on anything that is shipped."""

from __future__ import annotations

import pytest
from torch import nn

from spikeformer.cli import compose as composed
from spikeformer.config import instantiate
from spikeformer.error_handling import ArgumentError
from spikeformer.pipeline import build_network
from spikeformer.validation import (
    CHECKS,
    RUN_LEVELS,
    SAMPLES,
    SEVERITIES,
    ComprehensiveValidator,
    ModelSubject,
    ValidationError,
    ValidationLevel,
    ValidationResult,
    register_check,
    stop_on_errors,
)
from tests.configs.test_groups import overrides_for
from tests.runs import options
from tests.validation.networks import chain

SHIPPED = [
    f"{group}={name}"
    for group in ("neuron", "encoding", "attention", "model")
    for name in options(group)
    # The sizes of a family have the same layers; loading a pretrained model needs one.
    # The dense network is silent until it is trained; its experiment says so.
    if name not in ("pretrained", "dense") and not name.endswith(("_base", "_small"))
]


def test_the_example_of_the_reference():
    validator = ComprehensiveValidator()
    results = validator.validate_model(nn.Sequential(nn.Linear(3, 3)))
    errors = [result for result in results if result.level == ValidationLevel.ERROR]
    assert [result.message for result in errors] == ["Sequential has no spiking layer."]
    assert validator.validation_level == ValidationLevel.STANDARD


def test_every_level_runs_more_than_the_one_before():
    for name, registered in CHECKS.items():
        counts = [sum(level.covers(needed) for needed, _ in registered) for level in RUN_LEVELS]
        assert counts == sorted(counts), name
        assert counts[0] > 0
        assert counts[-1] == len(registered)
    counts = [
        sum(level.covers(needed) for found in CHECKS.values() for needed, _ in found)
        for level in RUN_LEVELS
    ]
    assert len(set(counts)) == 4
    assert sum(map(len, CHECKS.values())) > 40
    assert [level.is_severity for level in (*RUN_LEVELS, *SEVERITIES)] == [False] * 4 + [True] * 4
    assert list(SAMPLES) == list(RUN_LEVELS)


def test_a_level_goes_by_its_name_and_a_severity_is_none():
    assert ComprehensiveValidator("strict").validation_level is ValidationLevel.STRICT
    for wrong in ("harsh", ValidationLevel.ERROR, None):
        with pytest.raises(ArgumentError, match="'basic', 'standard', 'strict'"):
            ComprehensiveValidator(wrong)


def test_errors_stop_and_warnings_do_not():
    def result(level):
        return ValidationResult(level, "It is odd.", "layer", "Mend it.")

    stop_on_errors([result(ValidationLevel.INFO), result(ValidationLevel.WARNING)])
    with pytest.raises(
        ValidationError, match=r"2 faults[^\n]*\n(- layer: It is odd. Mend it.\n){2}.*=none"
    ):
        stop_on_errors([result(ValidationLevel.ERROR), result(ValidationLevel.CRITICAL)])


def test_a_check_of_ones_own():
    @register_check(ModelSubject, ValidationLevel.STRICT)
    def has_a_name(subject):
        if not hasattr(subject.model, "name"):
            yield ValidationResult(ValidationLevel.INFO, "It has no name.")

    try:
        assert "no name" not in str(ComprehensiveValidator("standard").validate_model(chain()))
        assert "no name" in str(ComprehensiveValidator("strict").validate_model(chain()))
    finally:
        CHECKS[ModelSubject].pop()


@pytest.mark.parametrize("choice", SHIPPED)
def test_no_false_alarm_on_what_is_shipped(choice):
    network = build_network(composed(*overrides_for(choice)))
    results = ComprehensiveValidator("comprehensive").validate_model(network)
    assert [str(result) for result in results if result.level is not ValidationLevel.INFO] == []


def test_no_false_alarm_on_the_digits():
    config = composed()
    data = instantiate(config.data)
    data.setup()
    results = ComprehensiveValidator("comprehensive").validate_splits(
        data.splits, num_classes=10, batch_size=64, model=build_network(config)
    )
    assert {result.level for result in results} <= {ValidationLevel.INFO}
