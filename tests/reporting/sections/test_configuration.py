"""The configuration, on the page."""

from __future__ import annotations

from pathlib import Path

from spikeformer.reporting.sections.configuration import configuration
from spikeformer.runs import RunResults
from tests.reporting.page import report, words

EMPTY = RunResults(Path("run"), "run")


def test_configuration_is_left_out_without_one():
    assert configuration(EMPTY) is None


def test_configuration_shows_overrides_and_the_whole(bare_folder: Path) -> None:
    (bare_folder / "config.yaml").write_text("seed: 1\nname: '<a&b>'\n")
    (bare_folder / "overrides.yaml").write_text("[seed=1, '+name=<a&b>']")
    page = report(bare_folder)
    assert "<pre" in page
    assert "seed: 1\nname: &#39;&lt;a&amp;b&gt;&#39;</code>" in page
    assert "+name=<a&b>" in words(page)


def test_configuration_without_overrides_says_so(bare_folder: Path) -> None:
    (bare_folder / "config.yaml").write_text("seed: 1\n")
    page = report(bare_folder)
    section = page.partition('<section id="configuration"')[2].partition("</section>")[0]
    assert "<li>" not in section
    assert "seed: 1" in section
