"""The gate between data and training."""

from __future__ import annotations

from collections import Counter

import pytest

from spikeformer.compliance import ConsentGate
from spikeformer.error_handling import ComplianceError
from tests.compliance.records import TRAINING, agreed, make


def test_without_records_nothing_is_trained(tmp_path):
    with pytest.raises(ComplianceError, match="spikeformer privacy init"):
        ConsentGate(tmp_path / "nowhere")


@pytest.fixture
def manager(tmp_path):
    manager = make(tmp_path / "records")
    for name in "abc":
        agreed(manager, name)
    manager.withdraw_consent("c")
    return manager


def test_a_gate_counts_each_person_once_per_sample(manager):
    gate = ConsentGate(manager.folder, purpose=TRAINING.value)
    assert gate.admitted(["a", "c", "a", "", "b"]) == [0, 2, 4]
    assert gate.used == Counter(a=2, b=1)
    assert gate.reasons() == "1 samples of 1 subject (unknown), 1 samples of 1 subject (withdrawn)"
