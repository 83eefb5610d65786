"""Pages from stored results."""

from __future__ import annotations

import json

import pytest
from bench import report
from bench.summary import summarize


def row(contender, library="spikeformer", milliseconds=10.0, ratio=None):
    measured = {
        "contender": contender,
        "library": library,
        "first_call_seconds": 1.0,
        "peak_bytes": 2**20,
        "disagreement": {"output": 0.0, "grad": 2e-5},
        "milliseconds": summarize([milliseconds]),
    }
    return measured | ({"ratio": summarize([ratio])} if ratio else {})


def case(title, device, rows):
    return {"title": title, "device": device, "options": {}, "rows": rows}


@pytest.fixture
def result():
    no_gpu = {"not_measured": "no GPU"}
    return {
        "benchmark": "some",
        "title": "some",
        "description": "What it is.",
        "definition": "SpikeFormer reference",
        "command": "python scripts/bench/run.py",
        "date": "2026-01-01",
        "machine": {"cpu": "A CPU", "memory_gib": 8.0, "gpu": None, "python": "3.11.0"},
        "packages": {"torch": "2.13.0"},
        "threads": 2,
        "rounds": 1,
        "baselines": {"spikingjelly": {"torch": "2.13.0", "spikingjelly": "2.0.0"}},
        "cases": [
            case(
                "first",
                "cpu",
                [
                    row("SpikeFormer"),
                    row("SpikingJelly", "spikingjelly", 20.0, ratio=0.5),
                    row("SpikingJelly, compiled", "spikingjelly", 12.5, ratio=0.8),
                    {"contender": "Norse", "library": "norse", "not_measured": "it is absent"},
                ],
            ),
            case(
                "second",
                "cpu",
                [row("SpikeFormer"), row("SpikingJelly", "spikingjelly", 25.0, ratio=0.4)],
            ),
            case(
                "third", "cuda", [{"contender": "SpikeFormer", "library": "spikeformer"} | no_gpu]
            ),
        ],
    }


def test_page_has_times_ratios_and_reasons(result):
    text = report.page(result)
    assert "| SpikeFormer | 10 ms (10 to 10) |  | 1 MiB | 1.00 s | 2.0e-05 |" in text
    assert "| 20 ms (20 to 20) | 0.5x (0.5 to 0.5) |" in text
    assert "| Norse |" not in text
    assert "\nNot measured: Norse: it is absent.\n" in text
    assert "## third\n\nNot measured: all: no GPU.\n" in text
    assert "A CPU, 2 threads, 8.0 GiB, GPU: none" in text
    assert "SpikingJelly 2.0.0 with torch 2.13.0" in text


def test_page_says_where_the_time_of_a_step_goes(result):
    assert "by kind of operation" not in report.page(result)
    ours, theirs = result["cases"][1]["rows"]
    ours["operations"] = {"convolution": 6.0, "copies": 4.0}
    theirs["operations"] = {"convolution": 7.0, "norm": 18.25}
    text = report.page(result)
    assert "| kind | SpikeFormer | SpikingJelly |" in text
    assert "| convolution | 6.0 | 7.0 |\n| copies | 4.0 | 0.0 |\n| norm | 0.0 | 18.2 |" in text
    assert "| together | 10.0 | 25.2 |" in text


def test_overview_takes_the_fastest_way_of_each_baseline(result):
    text = report.overview({"some": result}, with_digits=False)
    assert "|  | 0.4 to 0.8x |  |  | A CPU |" in text
    assert "\nNot measured on a GPU yet: [some](some.md).\n" in text
    assert "digits.md" not in text


def test_contenders_left_out_for_one_reason_share_a_line(result):
    first = result["cases"][0]["rows"]
    first.append(first[3] | {"contender": "snnTorch"})
    assert "\nNot measured: Norse; snnTorch: it is absent.\n" in report.page(result)


def test_other_results_in_the_folder_keep_their_pages(result, tmp_path):
    (tmp_path / "some.json").write_text(json.dumps(result))
    (tmp_path / "digits.json").write_text(json.dumps({"runs": []}))
    (tmp_path / "digits.md").write_text("digits")
    names = [path.name for path in report.write(tmp_path)]
    assert names == ["some.md", "some.svg", "index.md"]
    assert (tmp_path / "digits.md").read_text() == "digits"
    assert "(digits.md)" in (tmp_path / "index.md").read_text()


def test_same_result_gives_same_files(result, tmp_path):
    (tmp_path / "some.json").write_text(json.dumps(result))
    first = {path: path.read_bytes() for path in report.write(tmp_path)}
    assert first == {path: path.read_bytes() for path in report.write(tmp_path)}


def test_a_result_without_times_has_no_plot(result, tmp_path):
    result["cases"] = result["cases"][2:]
    (tmp_path / "some.json").write_text(json.dumps(result))
    assert [path.name for path in report.write(tmp_path)] == ["some.md", "index.md"]
    assert ".svg" not in (tmp_path / "some.md").read_text()
