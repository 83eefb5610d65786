"""Whose data a run used, in its file and back."""

from __future__ import annotations

import json

import pytest

from spikeformer.compliance import LedgerHead, ProcessingPurpose, UseCount
from spikeformer.reporting import build_report
from spikeformer.runs import PrivacyResults, ResultsError, RunFolder

SAVED = PrivacyResults(
    organization="Lab <of> 声",
    purpose=ProcessingPurpose.MODEL_TRAINING,
    used=UseCount(2, 40),
    left_out={"no_consent": UseCount(1, 5)},
    selection="abc",
    ledger=LedgerHead("records", 3, "0123456789abcdef0123"),
)


def test_privacy_results_come_back_and_reach_the_report(tmp_path):
    SAVED.save(RunFolder(tmp_path))
    assert PrivacyResults.load(RunFolder(tmp_path)) == SAVED
    page = build_report(tmp_path, save_figures=False).read_text(encoding="utf-8")
    assert "no consent" in page
    assert "no_consent" not in page
    assert "40 samples" in page


def test_privacy_results_that_are_broken_are_named(tmp_path):
    SAVED.save(RunFolder(tmp_path))
    path = RunFolder(tmp_path).result("privacy.json")
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "purpose": "anything"}))
    with pytest.raises(ResultsError, match=r"privacy\.json"):
        PrivacyResults.load(RunFolder(tmp_path))
