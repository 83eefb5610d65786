"""Records of consent in a temporary folder, with a clock that a test sets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from spikeformer.compliance import DataSubject, PrivacyManager, ProcessingPurpose

START = datetime(2027, 1, 31, 12, tzinfo=UTC)
TRAINING = ProcessingPurpose.MODEL_TRAINING


class Clock:
    """Tells the time that it was set to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, days: float) -> None:
        self.now += timedelta(days=days)


def make(folder, **options) -> PrivacyManager:
    return PrivacyManager("Example Lab", "dpo@example.org", folder=folder, **options)


def agreed(manager: PrivacyManager, subject_id: str, **options) -> None:
    """Register someone who agrees to training."""
    manager.register_data_subject(DataSubject(subject_id, **options))
    manager.record_consent(subject_id, [TRAINING], evidence="form 7")
