from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from spikeformer.error_handling import SpikeformerError
from spikeformer.reporting import SECTIONS, build_report
from spikeformer.runs import RunFolder, TestResults
from tests.reporting.page import report, words
from tests.reporting.synthetic import CLASSES, LAYERS, write_json, write_run

FIGURES = {"confusion_matrix", "firing_rates", "history", "input", "raster", "placement"}
FIGURES |= {"output", "output_mean"}
FIGURES |= {"energy_layers", "energy_comparison", "energy_break_even"}


# What only other kinds of runs have.
OPTIONAL = {"cache", "comparison", "conversion", "plan", "privacy", "tasks", "validation"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a finished run; tests only read it."""
    return build_report(write_run(tmp_path_factory.mktemp("finished") / "run"))


def test_a_finished_run(finished: Path) -> None:
    page = finished.read_text(encoding="utf-8")
    text = words(page)
    assert "spiking_vit-digits" in text
    assert "4 March 2025, 10:20" in text
    for fact in ("98.9 %", "1 min 23 s", "412 k", "11.3 %", "test accuracy"):
        assert fact in text
    for section in SECTIONS.values():
        assert section.name in OPTIONAL or f'<section id="{section.name}"' in page
    assert "4 of 360 samples were taken for another class." in text
    assert "Predicted 0, which is right." in text
    assert "neuron.tau_mem=2.0" in text
    assert "0123456789ab, with uncommitted changes" in text
    assert "Not in this report" not in text
    assert {path.stem for path in (finished.parent / "figures").iterdir()} == FIGURES
    assert {path.suffix for path in (finished.parent / "figures").iterdir()} == {".png", ".svg"}


def test_the_page_needs_nothing_from_outside(finished: Path) -> None:
    page = finished.read_text(encoding="utf-8")
    assert len(page) < 3_000_000
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(source.startswith(("#", "data:")) for source in sources)
    assert "url(http" not in page
    assert "@import" not in page


def test_the_page_is_accessible(finished: Path) -> None:
    page = finished.read_text(encoding="utf-8")
    assert '<html lang="en" dir="ltr">' in page
    figures = re.findall(r"<svg[^>]*>", page)
    # Four curves, the matrix, input, two outputs, a raster per layer, the rates, three of energy,
    # the cores.
    assert len(figures) == 4 + 1 + 3 + len(LAYERS) + 1 + 3 + 1
    assert all('role="img"' in figure for figure in figures)
    assert all(re.search(r'aria-label="[^"]{10,}"', figure) for figure in figures)
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in re.findall(r'href="(#[^"]*)"', page)} <= set(ids)


def test_figures_follow_the_theme(finished: Path) -> None:
    page = finished.read_text(encoding="utf-8")
    body = page[page.index("<body>") :]
    assert "var(--blue)" in body
    assert not re.findall(r"(?:fill|stroke): #(?!ffffff)[0-9a-f]{6}", body)


def test_names_are_escaped(run_folder: Path) -> None:
    evil = "<script>alert(1)</script>"
    names = [evil, '"><img src=x onerror=alert(1)>', "a & b", "日本語", "$x$", *"56789"]
    matrix = np.full((CLASSES, CLASSES), 3)
    rates = {evil: 0.1, "b": 0.2}
    TestResults({evil: 1.0}, names, matrix, rates).save(RunFolder(run_folder))
    write_json(run_folder / "manifest.json", {"name": evil, "created": evil, "stages": {}})
    (run_folder / "overrides.yaml").write_text(f"- '{evil}'\n")
    page = report(run_folder)
    assert page.count("<script>") == 1
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "日本語" in page
    assert evil in words(page)


def test_an_empty_run_says_what_it_lacks(tmp_path: Path) -> None:
    text = words(report(tmp_path))
    assert tmp_path.name in text
    for name in ("metrics.csv", "results/test.json", "results/sample.npz", "environment.json"):
        assert f"the run has no {name}" in text
    assert not (tmp_path / "figures").exists()


def test_a_run_that_failed_after_fit(run_folder: Path) -> None:
    shutil.rmtree(run_folder / "results")
    stages = {
        "fit": {"status": "done", "seconds": 7500},
        "test": {"status": "failed", "seconds": 3, "error": "DataError: no file at <here>"},
        "report": {"status": "running"},
    }
    write_json(
        run_folder / "manifest.json",
        {"name": "run", "created": "2025-03-04T10:20:30", "stages": stages},
    )
    text = words(report(run_folder))
    assert "best validation accuracy" in text
    assert "fit done 2 h 5 min" in text
    assert "test failed. DataError: no file at <here>" in text
    assert "report running" not in text
    assert "the run has no results/test.json" in text


def test_a_failure_keeps_the_earlier_report(run_folder: Path) -> None:
    path = run_folder / "report.html"
    path.write_text("an earlier report")
    (run_folder / "results" / "test.json").write_text("{")
    with pytest.raises(SpikeformerError):
        build_report(run_folder)
    assert path.read_text() == "an earlier report"
    assert not list(run_folder.rglob("*.tmp"))


def test_a_rebuild_writes_the_same_bytes(finished: Path) -> None:
    def files() -> dict[str, bytes]:
        paths = [finished, *(finished.parent / "figures").iterdir()]
        return {path.name: path.read_bytes() for path in paths}

    before, settings = files(), dict(mpl.rcParams)
    build_report(finished.parent)
    assert files() == before
    assert dict(mpl.rcParams) == settings


def test_a_report_needs_none_of_what_training_needs(run_folder: Path) -> None:
    heavy = {"torch", "lightning", "torchmetrics", "sklearn", "scipy", "transformers", "wandb"}
    code = "import sys; from spikeformer.cli import main; main(); print(*sys.modules)"
    command = [sys.executable, "-c", code, "report", str(run_folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    path, modules = done.stdout.splitlines()
    assert Path(path).is_file()
    assert not heavy & set(modules.split())
