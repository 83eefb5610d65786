"""One measurement at a time: two would count, and pay for, each other's work."""

from __future__ import annotations

from spikeformer.error_handling import ProfilingError

_active: list[object] = []


def claim(owner: object) -> None:
    """Make `owner` the measurement that is going on.

    Raises:
        ProfilingError: Another one is.
    """
    if _active:
        raise ProfilingError(
            "Another measurement is going on, and each would count the other's work. Leave its "
            "`with` block first, or put everything into one."
        )
    _active.append(owner)


def release(owner: object) -> None:
    """Let others measure again."""
    if owner in _active:
        _active.remove(owner)
