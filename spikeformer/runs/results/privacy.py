"""Whose data a run uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spikeformer.compliance import DataUse
from spikeformer.runs.results.result import Result


@dataclass(frozen=True)
class PrivacyResults(DataUse, Result):
    """Whose data the run was begun with, where it asks for consents."""

    file: ClassVar[str] = "results/privacy.json"
