from __future__ import annotations

import pytest

from spikeformer.validation import (
    ValidationError,
    ValidationLevel,
    ValidationResult,
    stop_on_errors,
)


def test_stop_on_errors_lets_warnings_pass():
    def result(level):
        return ValidationResult(level, "It is odd.", "layer", "Mend it.")

    stop_on_errors([result(ValidationLevel.INFO), result(ValidationLevel.WARNING)])
    with pytest.raises(
        ValidationError, match=r"2 faults[^\n]*\n(- layer: It is odd. Mend it.\n){2}.*=none"
    ):
        stop_on_errors([result(ValidationLevel.ERROR), result(ValidationLevel.CRITICAL)])
