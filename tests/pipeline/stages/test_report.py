"""The report stage writes the page, whatever the run has."""

from __future__ import annotations

import pytest
import yaml
from omegaconf import OmegaConf

from spikeformer.config import recorded
from spikeformer.pipeline import Report
from spikeformer.pipeline.stages.report import artifact_of
from spikeformer.runs import ResultsError, load_results
from tests.reporting.synthetic import write_run


def test_report_stage_writes_the_page(prepared):
    stage = Report()
    result = stage.run(prepared)
    (page,) = stage.outputs(prepared)
    assert "<html" in page.read_text(encoding="utf-8")
    assert stage.summary(result) == str(page)


def test_a_baseline_is_read_at_the_start_and_recorded(prepared, tmp_path, monkeypatch):
    report = {"baseline": str(write_run(tmp_path / "earlier"))}
    monkeypatch.setattr(prepared, "config", OmegaConf.merge(prepared.config, {"report": report}))
    stage = Report()
    stage.check(prepared)
    stage.run(prepared)
    baseline = load_results(prepared.folder).baseline
    assert baseline is not None
    assert baseline.reached["accuracy"] == 0.975
    prepared.config.report.baseline = str(tmp_path / "nowhere")
    with pytest.raises(ResultsError, match="Expected a run folder to compare with"):
        stage.check(prepared)


def test_an_artifact_holds_the_network_its_card_and_the_report(prepared, monkeypatch):
    Report().run(prepared)
    (prepared.folder / "config.yaml").write_text(yaml.safe_dump(recorded(prepared.config)))
    monkeypatch.setattr(prepared.config, "name", "a run: first")
    artifact = artifact_of(prepared)
    names = set(artifact.manifest.entries)
    assert {"README.md", "config.json", "model.safetensors", "report.html"} <= names
    assert (artifact.type, artifact.name.partition(":")[0]) == ("model", "a-run-first")
