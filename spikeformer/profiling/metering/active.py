"""One measurement at a time: two would count, and pay for, each other's work."""

from __future__ import annotations

from spikeformer.error_handling import ProfilingError
from spikeformer.i18n import t

_active: list[object] = []


def claim(owner: object) -> None:
    """Make `owner` the measurement that is going on.

    Raises:
        ProfilingError: Another one is.
    """
    if _active:
        raise ProfilingError(t("profiling.another_measurement"))
    _active.append(owner)


def release(owner: object) -> None:
    """Let others measure again."""
    if owner in _active:
        _active.remove(owner)
