"""Medians with their spread."""

from __future__ import annotations

import statistics
from collections.abc import Iterable


def summarize(values: Iterable[float]) -> dict[str, float]:
    """Return median, quartiles, extremes and number of the values.

    Example:
        >>> summarize([3.0, 1.0, 2.0])
        {'median': 2.0, 'q1': 1.5, 'q3': 2.5, 'min': 1.0, 'max': 3.0, 'count': 3}
    """
    values = list(values)
    q1, _, q3 = statistics.quantiles(values, method="inclusive") if len(values) > 1 else values * 3
    return {
        "median": statistics.median(values),
        "q1": q1,
        "q3": q3,
        "min": min(values),
        "max": max(values),
        "count": len(values),
    }


def paired_ratios(pairs: Iterable[tuple[float, float]]) -> dict[str, float]:
    """Summarize first / second of every pair: two turns that followed each other.

    Pairing keeps what slows the whole machine for a while out of the ratio.
    """
    return summarize([first / second for first, second in pairs])


def spread_text(summary: dict[str, float], unit: str) -> str:
    """Write a summary as its median and, in brackets, its quartiles.

    Example:
        >>> spread_text(summarize([3.0, 1.0, 2.0]), " ms")
        '2 ms (1.5 to 2.5)'
    """
    return f"{summary['median']:.3g}{unit} ({summary['q1']:.3g} to {summary['q3']:.3g})"


def duration_text(milliseconds: dict[str, float]) -> str:
    """Write a summary of times in the unit that suits its median."""
    median = milliseconds["median"]
    factor, unit = (1e-3, " s") if median >= 1e3 else (1e3, " µs") if median < 1 else (1.0, " ms")
    return spread_text({key: factor * value for key, value in milliseconds.items()}, unit)
