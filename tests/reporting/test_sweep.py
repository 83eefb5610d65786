"""The page of a sweep."""

from __future__ import annotations

import re

import pytest

from spikeformer.i18n import use_locale
from spikeformer.reporting import build_sweep_page
from tests.browser import console, open_browser, overflow, show
from tests.reporting.page import words
from tests.runs.sweeps import write_sweep

ACCURACY = {
    ("lif", 2): (0.70, 0.72, 0.74),
    ("lif", 4): (0.80, 0.82, 0.84),
    ("plif", 2): (0.75, 0.75, 0.75),
    ("plif", 4): (0.90, 0.92, 0.94),
}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    runs = [
        ({"neuron": neuron, "timesteps": steps, "a_b&": "x", "seed": seed}, value, 2.0 * steps)
        for (neuron, steps), values in ACCURACY.items()
        for seed, value in enumerate(values)
    ]
    folder = write_sweep(
        tmp_path_factory.mktemp("sweep"), [*runs, ({"neuron": "plif", "seed": 7}, None)]
    )
    (folder / "11" / "report.html").write_text("<!doctype html><title>run</title>")
    return folder, build_sweep_page(folder).read_text(encoding="utf-8")


def test_it_says_what_came_out(sweep):
    _, page = sweep
    text = words(page)
    assert "Validation accuracy: mean of the best setting over 3 seeds92.0 %" in text
    assert "best run11 (94.0 %)" in text
    # scipy.stats.ttest_1samp([0.90, 0.92, 0.94], 0).confidence_interval()
    assert re.search(r"4 plif 3 92\.0 ± 2\.0 % 87\.0 % to 97\.0 % 8 ± 0", text), text
    assert "2 plif 3 75.0 ± 0.0 %" in text
    assert "Every combination was run with the same seeds" in text
    assert "for want of a result (Validation accuracy): 12: failed: fit: out of memory" in text
    assert '<a href="11/report.html">11</a>' in page
    assert 'aria-label="By timesteps, the means are 2: 73.5\u00a0%; 4: 87.0\u00a0%."' in page


def test_the_tables_for_a_paper_lie_beside_it(sweep):
    folder, _ = sweep
    rows = (folder / "results.md").read_text(encoding="utf-8").splitlines()
    assert rows[2].startswith("| 4 | plif | 3 | 92.0 ± 2.0\u00a0% |")
    assert len({row.count("|") for row in rows}) == 1
    latex = (folder / "results.tex").read_text(encoding="utf-8")
    assert r"4 & plif & 3 & \textbf{92.0 $\pm$ 2.0~\%} & 8" in latex
    assert r"2 & lif & 3 & 72.0 $\pm$ 2.0~\%" in latex
    assert latex.count(r"\\") == 5
    assert {path.name for path in (folder / "figures").iterdir()} >= {
        "parallel.svg",
        "effect-neuron.png",
    }


def test_names_cannot_break_latex(tmp_path):
    runs = [({"a_b": value, "seed": 1}, 0.5) for value in ("50%", r"c:\d{e}")]
    build_sweep_page(write_sweep(tmp_path, runs))
    latex = (tmp_path / "results.tex").read_text(encoding="utf-8")
    assert r"a\_b & Seeds" in latex
    assert r"50\% & 1" in latex
    assert r"c:\textbackslash{}d\{e\} & 1" in latex


def test_seeds_alone_make_a_page(tmp_path):
    write_sweep(tmp_path, [({"seed": seed}, 0.5 + seed / 10) for seed in range(3)])
    text = words(build_sweep_page(tmp_path).read_text(encoding="utf-8"))
    assert "Validation accuracy: mean of the best setting over 3 seeds60.0 %" in text
    assert "What each setting does" not in text


def test_it_speaks_other_languages(tmp_path):
    write_sweep(tmp_path, [({"neuron": n, "seed": 1}, 0.5) for n in ("lif", "plif")])
    with use_locale("ar"):
        page = build_sweep_page(tmp_path).read_text(encoding="utf-8")
    assert 'dir="rtl"' in page
    assert "أثر كل إعداد" in page


@pytest.mark.browser
def test_it_fits_a_phone_and_a_desk(sweep):
    folder, _ = sweep
    with open_browser() as browser:
        for width in (390, 1280):
            show(browser, folder / "report.html", width=width)
            assert overflow(browser) <= 0
        assert console(browser) == []
