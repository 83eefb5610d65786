"""Tables go through the gate."""

from __future__ import annotations

import pytest

from spikeformer.compliance import ConsentGate
from spikeformer.compliance.gate import UseCount
from spikeformer.data import ImageDataModule
from spikeformer.error_handling import ComplianceError, DataError
from tests.compliance.records import TRAINING


def test_only_samples_of_people_who_agreed_are_used(data, manager):
    gate = ConsentGate(manager.folder)
    splits = data(gate=gate).splits
    assert len(splits.train) + len(splits.val) == 12
    assert len(splits.test) == 12
    assert gate.used == {"a": 12, "b": 12}
    assert {why: dict(who) for why, who in gate.left_out.items()} == {
        "unknown": {"d": 12},
        "withdrawn": {"c": 12},
    }


def test_what_a_run_used_is_on_record_without_names(data, manager, tmp_path):
    gate = ConsentGate(manager.folder)
    data(gate=gate)
    used = gate.record(tmp_path / "run")
    assert (used.used.subjects, used.used.samples) == (2, 24)
    assert used.left_out["unknown"] == UseCount(1, 12)
    (run,) = manager.runs("a")
    assert run.subjects[manager.vault.pseudonym("a")] == 12
    assert manager.runs("c") == []
    assert manager.ledger.verify({used.ledger.entry: used.ledger.mac})
    before = gate.selection
    manager.withdraw_consent("b")
    later = ConsentGate(manager.folder)
    data(gate=later)
    assert later.selection != before


def test_a_withdrawal_after_reading_keeps_the_run_from_beginning(data, manager, tmp_path):
    for who in (
        manager.withdraw_consent,
        lambda name: manager.erase(manager.vault.pseudonym(name), "request"),
    ):
        manager.record_consent("a", [TRAINING])
        gate = ConsentGate(manager.folder)
        data(gate=gate)
        who("a")
        with pytest.raises(ComplianceError, match="start again"):
            gate.record(tmp_path / "run")
    assert manager.runs() == []


def test_nobody_agreed_or_nobody_is_named(data, manager, image_parquet, cache):
    for name in "ab":
        manager.handle_data_subject_request("erasure", name)
    with pytest.raises(DataError, match=r"12 samples of 2 subjects|spikeformer privacy consent"):
        data(gate=ConsentGate(manager.folder))
    with pytest.raises(DataError, match=r"compliance\.subject_key='who'.*'speaker'"):
        data(gate=ConsentGate(manager.folder, subject_key="who"))
    images = ImageDataModule(path=str(image_parquet()), cache_dir=cache)
    images.gate = ConsentGate(manager.folder)
    with pytest.raises(DataError, match=r"none is named as people are"):
        images.setup()
