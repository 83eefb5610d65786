"""The report stage writes the page, whatever the run has."""

from __future__ import annotations

from spikeformer.pipeline import Report


def test_report_stage_writes_the_page(prepared):
    stage = Report()
    result = stage.run(prepared)
    (page,) = stage.outputs(prepared)
    assert "<html" in page.read_text(encoding="utf-8")
    assert stage.summary(result) == str(page)
