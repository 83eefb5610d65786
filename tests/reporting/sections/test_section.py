"""Sections that other parts register."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from markupsafe import Markup

from spikeformer.error_handling import ArgumentError
from spikeformer.reporting import SECTIONS, Content, Section, register_section
from spikeformer.runs import RunResults, StageRecord
from tests.reporting.page import report
from tests.reporting.synthetic import write_json


def test_a_section_of_another_part(bare_folder: Path) -> None:
    @register_section("latency", title="Latency", order=55, source="results/latency.json")
    def latency(results: RunResults) -> Content:
        return Content(html=Markup("<p>{} takes 12 ms</p>").format(results.name))

    (bare_folder / "overrides.yaml").write_text("[seed=1]")
    write_json(bare_folder / "environment.json", {"python": "3.11"})
    try:
        page = report(bare_folder)
        with pytest.raises(ArgumentError, match="not taken"):
            register_section("latency", title="Again", order=1, source="x")
    finally:
        SECTIONS.pop("latency")
    assert f"{bare_folder.name} takes 12 ms" in page
    places = [page.index(f'<section id="{name}"') for name in ("configuration", "latency")]
    assert places == sorted(places)
    assert page.index('<section id="environment"') > places[-1]


def test_only_what_a_stage_should_have_written_is_missing():
    section = Section("x", "X", 1, "x.json", lambda results: None, stage="test")
    run = RunResults(Path("run"), "run")
    assert section.is_missing(run)  # nothing says which stages it had
    assert not section.is_missing(replace(run, stages={"convert": StageRecord("done")}))
    assert section.is_missing(replace(run, stages={"test": StageRecord("failed")}))
    assert not replace(section, optional=True).is_missing(run)
