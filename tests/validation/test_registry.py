from __future__ import annotations

from spikeformer.validation import (
    CHECKS,
    RUN_LEVELS,
    SAMPLES,
    ComprehensiveValidator,
    ModelSubject,
    ModesSubject,
    ValidationLevel,
    ValidationResult,
    register_check,
)
from tests.validation.networks import chain


def test_checks_every_level_runs_more_than_the_one_before():
    for name, registered in CHECKS.items():
        counts = [sum(level.covers(needed) for needed, _ in registered) for level in RUN_LEVELS]
        assert counts == sorted(counts), name
        # To compare modes is to run the network, which the first level does not.
        assert counts[0] > 0 or name is ModesSubject
        assert counts[-1] == len(registered)
    counts = [
        sum(level.covers(needed) for found in CHECKS.values() for needed, _ in found)
        for level in RUN_LEVELS
    ]
    assert len(set(counts)) == 4
    assert sum(map(len, CHECKS.values())) > 40
    assert list(SAMPLES) == list(RUN_LEVELS)


def test_register_check_adds_one_s_own():
    @register_check(ModelSubject, ValidationLevel.STRICT)
    def has_a_name(subject):
        if not hasattr(subject.model, "name"):
            yield ValidationResult(ValidationLevel.INFO, "It has no name.")

    try:
        assert "no name" not in str(ComprehensiveValidator("standard").validate_model(chain()))
        assert "no name" in str(ComprehensiveValidator("strict").validate_model(chain()))
    finally:
        CHECKS[ModelSubject].pop()
