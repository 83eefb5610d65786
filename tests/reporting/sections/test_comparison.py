"""A run beside an earlier one, on the page."""

from __future__ import annotations

import json

import pytest
import yaml

from spikeformer.reporting.sections.comparison import comparison
from spikeformer.runs import ResultsError, RunFolder, find_baseline, load_results
from tests.reporting.page import report, words
from tests.reporting.synthetic import write_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("comparison")
    earlier, run = write_run(root / "earlier"), write_run(root / "run")
    for place, (tau, seed, more) in {
        earlier: (8.0, 2, {"only": "here"}),
        run: (2.0, 1, {}),
    }.items():
        config = yaml.safe_load((place / "config.yaml").read_text())
        config["neuron"] |= {"tau_mem": tau, **more}
        config["model"] |= {"neuron": dict(config["neuron"])}
        config["data"]["seed"] = seed
        config |= {"seed": seed, "name": place.name, "paths": {"run_dir": str(place)}}
        (place / "config.yaml").write_text(yaml.safe_dump(config))
    manifest = json.loads((earlier / "manifest.json").read_text())
    manifest["stages"]["test"]["result"]["accuracy"] = 0.95
    manifest["stages"]["fit"]["result"]["num_parameters"] = 824_690
    (earlier / "manifest.json").write_text(json.dumps(manifest))
    find_baseline(earlier).save(RunFolder(run))
    return run


def test_numbers_stand_side_by_side(folder):
    rows = {name: row for name, *row in comparison(load_results(folder)).values["rows"]}
    spaced = {name: [cell.replace("\u00a0", " ") for cell in row] for name, row in rows.items()}
    assert spaced["Test accuracy"] == ["95.0 %", "97.5 %", "+2.5 points"]
    assert spaced["Parameters"] == ["825 k", "412 k", "-50.0 %"]


def test_only_lines_that_differ_by_themselves_are_shown(folder):
    lines = comparison(load_results(folder)).values["lines"]
    assert set(lines) == {
        ("seed", "2", "1"),
        ("neuron.tau_mem", "8.0", "2.0"),
        ("neuron.only", "here", ""),
    }


def test_the_page_says_what_it_is_compared_with(folder):
    text = words(report(folder))
    assert "Beside spiking_vit-digits" in text
    assert "These are single runs" in text


def test_a_run_without_a_baseline_has_no_comparison(tmp_path):
    write_run(tmp_path / "run")
    assert comparison(load_results(tmp_path / "run")) is None


def test_a_baseline_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(ResultsError, match=r"Expected a run folder to compare with"):
        find_baseline(tmp_path)
