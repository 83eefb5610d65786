"""Which checks there are, and at which level each runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from spikeformer.validation.result import ValidationLevel, ValidationResult

Check = Callable[[Any], Iterator[ValidationResult]]
"""Yields what is wrong with a subject, nothing if all is well."""
F = TypeVar("F", bound=Check)

CHECKS: dict[type, list[tuple[ValidationLevel, Check]]] = {}
"""Checks with their levels by the kind of subject, in the order in which they run."""


def register_check(subject: type, level: ValidationLevel) -> Callable[[F], F]:
    """Register the decorated function as a check of a kind of subject, from a level on.

    Example:
        >>> from spikeformer.validation import ModelSubject
        >>> @register_check(ModelSubject, ValidationLevel.STRICT)
        ... def has_a_name(subject):
        ...     if not hasattr(subject.model, "name"):
        ...         yield ValidationResult(ValidationLevel.INFO, "The network has no name.")
        >>> CHECKS[ModelSubject].pop()[1].__name__
        'has_a_name'
    """

    def register(function: F) -> F:
        CHECKS.setdefault(subject, []).append((level, function))
        return function

    return register


def run_checks(subject: Any, level: ValidationLevel) -> list[ValidationResult]:
    """Run the checks of a subject's kind that a level covers; a CRITICAL finding ends them."""
    found: list[ValidationResult] = []
    ordered = sorted(CHECKS[type(subject)], key=lambda pair: pair[0] is not ValidationLevel.BASIC)
    for needed, check in ordered:
        if level.covers(needed):
            found += check(subject)
            if any(result.level is ValidationLevel.CRITICAL for result in found):
                break
    return found
