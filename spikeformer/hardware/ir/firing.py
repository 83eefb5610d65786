"""How neurons of a spike graph fire: a threshold, a count, or the minimum of two counts."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

Rule = Literal["threshold", "count", "minimum", "differential", "sum", "change"]

RULES: tuple[Rule, ...] = ("threshold", "count", "minimum", "differential", "sum", "change")
"""What a population's `rule` may be; "count" and "minimum" send graded spikes, 0 to `levels`."""

HOSTED_RULES = ("differential", "sum", "change")
"""Rules of the populations of a converted network (`ir.hosted`)."""

MAX_LEVELS = 127
"""Most spikes of a graded one: 7 bits, so that two of them are packed into a weight of 8."""


def packing_base(levels: int) -> int:
    """Return the factor of the second of two counts packed into one current: a power of two."""
    return 1 << levels.bit_length()


def minimum_of_packed(packed: Array, levels: int) -> Array:
    """Return the minimum of the counts a and b in `a + packing_base(levels) * b`, both whole."""
    high, low = np.divmod(packed.astype(np.int64), packing_base(levels))
    return np.clip(np.minimum(high, low), 0, levels)


def count(membrane: Array, threshold: float, levels: int) -> Array:
    """Return `round(membrane / threshold)` in 0 to `levels`, ties to the even number."""
    return np.clip(np.rint(membrane / threshold), 0, levels)


def count_integers(membrane: Array, threshold: int, levels: int) -> Array:
    """Do what `count` does, in integers."""
    whole, rest = np.divmod(membrane, threshold)
    up = (2 * rest > threshold) | ((2 * rest == threshold) & (whole % 2 == 1))
    return np.clip(whole + up, 0, levels)
