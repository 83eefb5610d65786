"""How a run's data were prepared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spikeformer.data import Preparation
from spikeformer.runs.results.result import Result


@dataclass(frozen=True)
class DataResults(Preparation, Result):
    """What other data need so that the run's network means by them what it learnt.

    Attributes:
        split: Name and SHA-256 of the file that divides the data, where there is one.
    """

    file: ClassVar[str] = "results/data.json"

    split: str | None = None
