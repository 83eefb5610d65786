"""Networks with a fault, and the finding that must come of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from spikeformer.validation import ComprehensiveValidator


@dataclass(frozen=True)
class Fault:
    """A network with a fault.

    Attributes:
        make: Makes the network, anew for each check: none may depend on what another left behind.
        severity: Of the finding.
        level: At which validators find it, and below which they do not.
        location: Where the finding must point to, or a part of that.
        message: Part of what it must say.
    """

    make: Callable[[], nn.Module]
    severity: str
    level: str
    location: str
    message: str

    def __str__(self) -> str:
        return self.make.__name__


_FAULTS: list[Fault] = []


def fault(severity: str, level: str, location: str, message: str) -> Callable:
    """Register the decorated function as the maker of a network with a fault."""

    def register(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
        _FAULTS.append(Fault(make, severity, level, location, message))
        return make

    return register


def faults_of(module: str) -> list[Fault]:
    """Return the faults that a module has registered."""
    found = [planted for planted in _FAULTS if planted.make.__module__ == module]
    assert found
    return found


def assert_found_from_its_level_on(planted: Fault) -> None:
    """Check that validators at and above its level find a fault, and those below do not."""
    levels = ["basic", "standard", "strict"]
    for each in levels:
        results = ComprehensiveValidator(each).validate_model(planted.make())  # type: ignore[arg-type]
        hits = [
            result
            for result in results
            if result.level.value == planted.severity
            and planted.location in result.location
            and planted.message in result.message
        ]
        wanted = levels.index(each) >= levels.index(planted.level)
        assert bool(hits) == wanted, (each, results)
        assert all(result.remedy or planted.severity == "info" for result in hits)
