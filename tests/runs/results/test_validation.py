"""Findings in their files and back."""

from __future__ import annotations

import json

import pytest

from spikeformer.runs import (
    ResultsError,
    RunFolder,
    TrainedValidationResults,
    ValidationResults,
    load_results,
)
from spikeformer.validation import ValidationLevel, ValidationResult

FINDINGS = [
    ValidationResult(ValidationLevel.CRITICAL, "It is <NaN>.", "a.b", "Mend it.", float("inf")),
    ValidationResult(ValidationLevel.INFO, "同じ."),
]


def test_validation_results_come_back_by_stage(tmp_path):
    folder = RunFolder(tmp_path)
    before = ValidationResults(ValidationLevel.STRICT, FINDINGS)
    after = TrainedValidationResults(ValidationLevel.BASIC, [])
    before.save(folder)
    assert load_results(tmp_path).validation == {"validate": before}
    after.save(folder)
    found = load_results(tmp_path).validation
    assert found == {"validate": before, "validate_trained": after}
    assert found["validate"].results[0].level.stops


def test_validation_results_as_numbers():
    numbers = ValidationResults(ValidationLevel.STRICT, FINDINGS).numbers()
    assert numbers == {"level": "strict", "info": 1, "warning": 0, "error": 0, "critical": 1}


@pytest.mark.parametrize(
    "content",
    [
        {"level": "strict", "results": {}},
        {"level": "strict", "results": ["bad"]},
        {"level": "strict", "results": [{"level": "worst", "message": "x"}]},
        {"results": []},
    ],
)
def test_validation_results_that_are_broken_are_named(tmp_path, content):
    path = RunFolder(tmp_path).result("validation.json")
    path.parent.mkdir()
    path.write_text(json.dumps({"version": 1, **content}))
    with pytest.raises(ResultsError, match=r"validation\.json"):
        ValidationResults.load(RunFolder(tmp_path))
