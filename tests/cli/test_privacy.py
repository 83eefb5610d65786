"""`spikeformer privacy`: what it prints, and its exit status."""

from __future__ import annotations

import json
import re
import sys

import pytest

from spikeformer.cli import main
from spikeformer.compliance import LedgerHead, ProcessingPurpose, UseCount
from spikeformer.runs import Manifest, PrivacyResults, RunFolder
from tests.compliance.records import agreed, make


@pytest.fixture
def privacy(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def run(*arguments, status=0):
        command = ["spikeformer", "privacy", *arguments, "--folder", str(tmp_path / "records")]
        monkeypatch.setattr(sys, "argv", command)
        left = 0
        try:
            main()
        except SystemExit as stop:
            left = stop.code
        said = capsys.readouterr()
        assert left == status, said
        assert "Traceback" not in said.err
        return said.out + said.err

    return run


def test_from_the_first_record_to_an_erasure(privacy):
    assert "privacy init" in privacy("register", "anna", status=2)
    assert "not legal advice" in privacy("init", "--organization", "Lab", "--dpo", "a@b.org")
    assert privacy("register", "anna", "bob") == "anna: registered\nbob: registered\n"
    assert "already" in privacy("register", "anna")
    assert "recorded" in privacy("consent", "anna", "bob", "--evidence", "form 7")
    assert "withdrawn" in privacy("withdraw", "bob")
    request = json.loads(privacy("request", "portability", "anna", "--later"))
    assert request["status"] == "open"
    assert re.search(r"anna +\d\d days left", privacy("requests"))
    answer = json.loads(privacy("request", "rectification", "anna", "--set", "name=Anna Lis"))
    assert answer["data"]["name"] == "Anna Lis"
    audit = privacy("audit", status=1)
    assert "GDPR Art. 6(1)" in audit
    assert "GDPR Art. 5(1)(e)" in audit
    assert json.loads(privacy("request", "erasure", "bob"))["affected_runs"] == []
    assert "kept for 30 days" in privacy("retention", "--days", "30")
    assert "None in what is on record" in privacy("audit")
    assert "as they were written" in privacy("verify")
    assert "no run on record" in privacy("runs", "anna")


def test_mistakes_are_told_plainly(privacy):
    privacy("init", "--organization", "Lab", "--dpo", "a@b.org")
    assert "Nobody is registered as 'zoe'" in privacy("consent", "zoe", status=2)
    privacy("register", "anna")
    assert "2030-12-31" in privacy("consent", "anna", "--expires", "soon", status=2)
    assert "FIELD=VALUE" in privacy("request", "correct", "anna", "--set", "name", status=2)
    assert "invalid choice" in privacy("request", "forget", "anna", status=2)


def test_a_run_whose_consents_changed_is_not_offered_to_be_resumed(command, tmp_path):
    manager = make(tmp_path / "records")
    for name in ("p0", "p1"):
        agreed(manager, name)
    lines = [f"word{n} and more,{n % 2},p{n % 4 // 2}" for n in range(40)]
    (tmp_path / "texts.csv").write_text("\n".join(["text,label,speaker", *lines]))
    run = tmp_path / "run"
    run.mkdir()
    (run / "overrides.yaml").write_text("[]")
    purpose, ledger = ProcessingPurpose.MODEL_TRAINING, LedgerHead("", 1, "")
    others = PrivacyResults("Lab", purpose, UseCount(1, 1), {}, "of others", ledger)
    others.save(RunFolder(run))
    Manifest(run, "run").save()
    status, errors, _ = command(
        f"pipeline.resume={run}",
        "data=csv_text",
        f"data.path={tmp_path / 'texts.csv'}",
        "data.num_classes=2",
        "compliance=gdpr",
        f"compliance.folder={manager.folder}",
        f"paths.cache_dir={tmp_path / 'cache'}",
        "model.num_layers=1",
        "timesteps=2",
    )
    assert status == 2
    assert "Start a new run" in errors
    assert "stages are kept" not in errors
