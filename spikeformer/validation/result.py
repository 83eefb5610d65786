"""What a check found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from spikeformer.error_handling import SpikeformerError
from spikeformer.i18n import t


class ValidationLevel(StrEnum):
    """How much is looked at, and how bad a finding is.

    A validator runs at BASIC, STANDARD, STRICT or COMPREHENSIVE, each with all checks of those
    before it. A result's level is its severity: INFO, WARNING, ERROR or CRITICAL; after a CRITICAL
    finding the checks that build on it are left out.
    """

    BASIC = "basic"
    STANDARD = "standard"
    STRICT = "strict"
    COMPREHENSIVE = "comprehensive"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def label(self) -> str:
        """A severity's name in the current locale."""
        return t(f"validation.level_{self.value}")

    @property
    def stops(self) -> bool:
        """Whether a finding of this severity stops a run."""
        return self in (ValidationLevel.ERROR, ValidationLevel.CRITICAL)

    def covers(self, other: ValidationLevel) -> bool:
        """Whether a validator at this level runs the checks of another level."""
        return RUN_LEVELS.index(self) >= RUN_LEVELS.index(other)


RUN_LEVELS = (
    ValidationLevel.BASIC,
    ValidationLevel.STANDARD,
    ValidationLevel.STRICT,
    ValidationLevel.COMPREHENSIVE,
)
"""Levels at which a validator runs, each with the checks of those before it."""
SEVERITIES = (
    ValidationLevel.INFO,
    ValidationLevel.WARNING,
    ValidationLevel.ERROR,
    ValidationLevel.CRITICAL,
)
"""Levels of results, from harmless to hopeless."""


@dataclass(frozen=True)
class ValidationResult:
    """One finding.

    Attributes:
        level: How bad it is: INFO, WARNING, ERROR or CRITICAL.
        message: What is the matter, one sentence.
        location: Where: a layer, a parameter, a split; empty for the whole.
        remedy: What to do about it.
        value: The number behind it, where there is one.
    """

    level: ValidationLevel
    message: str
    location: str = ""
    remedy: str = ""
    value: float | None = None

    def __str__(self) -> str:
        where = f"{self.location}: " if self.location else ""
        hint = f" {self.remedy}" if self.remedy else ""
        return f"{where}{self.message}{hint}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON holds."""
        return {
            "level": self.level.value,
            "message": self.message,
            "location": self.location,
            "remedy": self.remedy,
            "value": self.value,
        }


class ValidationError(SpikeformerError):
    """Something was found that a run cannot or should not go on with."""


def stop_on_errors(results: Iterable[ValidationResult]) -> None:
    """Raise `ValidationError` with all findings that stop a run, if there are any."""
    fatal = [str(result) for result in results if result.level.stops]
    if fatal:
        lines = "\n".join(f"- {line}" for line in fatal)
        faults = t("validation.faults", count=len(fatal))
        raise ValidationError(f"{faults}\n{lines}\n{t('validation.if_meant')}")
