"""Continual learning, on the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spikeformer.reporting.sections.tasks import tasks
from spikeformer.runs import RunFolder, RunResults, TaskResults
from tests.reporting.page import report, words

EMPTY = RunResults(Path("run"), "run")


def test_tasks_are_left_out_without_any():
    assert tasks(EMPTY) is None


def test_tasks_show_the_matrix_and_the_scores_that_there_are():
    found = TaskResults(["a", "b"], [[0.987, 0.5]])
    content = tasks(replace(EMPTY, tasks=found))
    assert content.values["scores"] == []
    axes = content.figures["tasks"].figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["99", "50"]


def test_tasks_on_the_page(bare_folder: Path) -> None:
    found = TaskResults(["a", "<b>"], [[0.9, 0.5], [0.8, 0.95]], 0.875, 0.1)
    found.save(RunFolder(bare_folder))
    page = report(bare_folder)
    section = page.partition('<section id="tasks"')[2].partition("</section>")[0]
    shown = words(section).replace("\N{NO-BREAK SPACE}", " ")
    assert "87.5 %" in shown
    assert "10.0 %" in shown
    assert "<svg" in section
