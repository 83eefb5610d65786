from __future__ import annotations

import json
import re

import pytest

from spikeformer.reporting import ResultsError, build_report, load_results
from tests.reporting.synthetic import write_run


@pytest.fixture
def folder(tmp_path):
    return write_run(tmp_path / "run")


def section(folder) -> str:
    page = build_report(folder, save_figures=False).read_text(encoding="utf-8")
    (found,) = re.findall(r'<section id="energy".*?</section>', page, flags=re.DOTALL)
    text = re.sub(r"<svg.*?</svg>|<[^>]*>", " ", found, flags=re.DOTALL)
    return " ".join(text.split())


def test_the_section_says_kind_source_bounds_and_what_is_left_out(folder):
    text = section(folder)
    assert "an estimate, not a measurement" in text
    assert "Davies et al., IEEE Micro 2018" in text
    assert "since the chip cannot run it: 800 products in 0, 3" in text
    assert "gelu of 160 values" in text
    assert "times the energy of its ANN at 3 bits" in text
    assert "Operations of 3 layers" in text


def test_measured_energy_is_called_measured(folder):
    path = folder / "results" / "energy.json"
    content = json.loads(path.read_text())
    content["metrics"]["kind"] = "measured"
    path.write_text(json.dumps(content))
    assert ": measured (" in section(folder)


def test_a_run_without_a_profiler_has_no_such_section_and_misses_none(folder):
    (folder / "results" / "energy.json").unlink()
    page = build_report(folder, save_figures=False).read_text(encoding="utf-8")
    assert 'id="energy"' not in page
    assert "Not in this report" not in page


def test_a_broken_file_is_named(folder):
    (folder / "results" / "energy.json").write_text('{"version": 1, "metrics": {}}')
    with pytest.raises(ResultsError, match=r"energy\.json.*missing required field"):
        load_results(folder)
