"""The validate stages: errors stop a run, warnings reach the report, `none` leaves them out."""

from __future__ import annotations

import json

import pytest
import torch

from spikeformer.cli import compose as composed
from spikeformer.pipeline import Manifest, Run, Validate, ValidateTrained, build, run_pipeline
from spikeformer.reporting import build_report
from spikeformer.validation import ValidationError
from tests.commands import SMALL, options

QUIET = ("logger=none", "trainer.accelerator=cpu", *SMALL)


@pytest.fixture
def run(tmp_path):
    """A run that has not begun."""
    config = composed(*QUIET)
    return Run(tmp_path, config, build(config, tmp_path), Manifest.open(tmp_path, "run"), {})


def test_levels():
    for name in options("validation"):
        config = composed(f"validation={name}")
        assert Validate().is_wanted(config) == (name != "none")
        assert ValidateTrained().is_wanted(config) == (name != "none")


def test_a_sound_run_passes(run, capsys):
    result = Validate().run(run)
    assert (result["error"], result["critical"], result["level"]) == (0, 0, "standard")
    assert "nothing found" in Validate().summary({**result, "warning": 0, "info": 0})
    assert "1 warning, 2 remarks" in Validate().summary({**result, "warning": 1, "info": 2})
    assert json.loads((run.folder / "results/validation.json").read_text())["level"] == "standard"


def test_every_finding_is_printed_in_a_line(tmp_path, capsys):
    config = composed(*QUIET, "timesteps=1", "validation=comprehensive")
    run = Run(tmp_path, config, build(config, tmp_path), Manifest.open(tmp_path, "run"), {})
    capsys.readouterr()
    Validate().run(run)
    lines = capsys.readouterr().out.splitlines()
    found = json.loads((run.folder / "results/validation.json").read_text())["results"]
    assert lines == [
        " ".join(
            text
            for text in (
                f"validate {each['level']}:",
                each["location"] and f"{each['location']}:",
                each["message"],
                each["remedy"],
            )
            if text
        )
        for each in found
    ]
    assert any(each["level"] == "info" and each["location"] for each in found)


def test_the_default_network_and_data_are_quiet(tmp_path, capsys):
    config = composed("logger=none", "trainer.accelerator=cpu")
    run = Run(tmp_path, config, build(config, tmp_path), Manifest.open(tmp_path, "run"), {})
    capsys.readouterr()
    result = Validate().run(run)
    assert capsys.readouterr().out == ""
    assert Validate().summary(result) == "level standard, nothing found"


def test_a_broken_network_stops_the_run_and_the_findings_stay(run):
    with torch.no_grad():
        next(run.parts.module.net.parameters()).fill_(torch.nan)
    with pytest.raises(ValidationError, match=r"1 fault found.*\n- .*NaN.*\n.*validation=none"):
        Validate().run(run)
    (found,) = json.loads((run.folder / "results/validation.json").read_text())["results"]
    assert found["level"] == "critical"


def test_leaking_data_stop_the_run(run):
    run.parts.data.splits.test = run.parts.data.splits.train
    with pytest.raises(ValidationError, match="leakage"):
        Validate().run(run)


def test_a_network_for_a_chip_is_checked_for_it(tmp_path):
    config = composed(*QUIET, "hardware=simulation", "neuron=lif")
    run = Run(tmp_path, config, build(config, tmp_path), Manifest.open(tmp_path, "run"), {})
    with pytest.raises(ValidationError, match="resets by reset='subtract'"):
        Validate().run(run)


@pytest.mark.slow
@pytest.mark.usefixtures("no_figure_files")
def test_warnings_reach_the_report(tmp_path, capsys):
    config = composed(*QUIET, "debug=fast", "neuron.tau_mem=0.05", "validation=strict")
    results = run_pipeline(config, tmp_path)
    assert results["validate"]["warning"] > 0
    assert results["validate_trained"]["level"] == "strict"
    page = (tmp_path / "report.html").read_text()
    assert 'id="validation"' in page
    assert "it remembers nothing" in page
    assert "before training" in page
    printed = capsys.readouterr().out
    assert "validate warning: " in printed
    # What nobody found has no section.
    for file in tmp_path.glob("results/validation*.json"):
        file.write_text('{"version": 1, "level": "basic", "results": []}')
    assert 'id="validation"' not in build_report(tmp_path, save_figures=False).read_text()
