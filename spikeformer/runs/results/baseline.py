"""An earlier run, as far as a report sets it beside its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from spikeformer.runs.results.result import Result

NOT_COMPARED = ("logger", "name", "paths", "pipeline.resume", "report")
"""Parts of a configuration that say where a run lies and what it is called."""


@dataclass(frozen=True)
class BaselineResults(Result):
    """What an earlier run was and came to, kept so that its folder may go.

    Attributes:
        name: The run's name.
        folder: Its folder, as it was given.
        created: When it was started, ISO 8601; None if that is unknown.
        reached: What came out, by the names of `RunSummary.numbers`.
        config: Its configuration, one text for each dotted key.
    """

    file: ClassVar[str] = "results/baseline.json"

    name: str
    folder: str
    created: str | None
    reached: dict[str, float]
    config: dict[str, str]


def flat(config: Any, prefix: str = "") -> dict[str, str]:
    """Return a configuration with one text for each dotted key.

    Example:
        >>> flat({"seed": 1, "name": "x", "optimizer": {"lr": 0.1, "betas": [0.9, 0.99]}})
        {'seed': '1', 'optimizer.lr': '0.1', 'optimizer.betas': '[0.9, 0.99]'}
    """
    found: dict[str, str] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if name in NOT_COMPARED:
            continue
        if isinstance(value, dict) and value:
            found |= flat(value, f"{name}.")
        else:
            found[name] = "null" if value is None else str(value)
    return found
