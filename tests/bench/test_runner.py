"""The runner, from end to end on a tiny benchmark, and the pages of its result."""

from __future__ import annotations

import json

import pytest
import torch
from bench import report
from bench.runner import Plan, run_benchmark
from packaging.version import Version

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def result():
    plan = Plan(rounds=2, turn_seconds=0.001, quick=True, report=lambda line: None)
    return run_benchmark("tests.bench.tiny", plan)


def rows(result, case=0):
    return {row["contender"]: row for row in result["cases"][case]["rows"]}


def test_contenders_that_agree_are_timed(result):
    # Ours takes a turn beside each of the two others.
    for name, turns in (("SpikeFormer", 4), ("SpikeFormer reference", 2)):
        row = rows(result)[name]
        assert row["milliseconds"]["count"] == turns
        assert row["milliseconds"]["median"] > 0
        assert row["first_call_seconds"] > 0
        assert row["peak_bytes"] is None or row["peak_bytes"] >= 0
        assert row["disagreement"] == {"output": 0.0, "grad_current": 0.0}
    assert rows(result)["SpikeFormer reference"]["ratio"]["median"] > 0
    assert "ratio" not in rows(result)["SpikeFormer"]


def test_a_yardstick_is_timed_and_not_compared(result):
    row = rows(result)["yardstick"]
    assert row["ratio"]["median"] > 0
    assert "disagreement" not in row
    assert report.page(result).count("| another function |") == 1


@pytest.mark.parametrize(
    ("contender", "reason"),
    [
        ("wrong", "output differs in 100.00% of its elements, grad_current differs in 100.00%"),
        ("failing", "ValueError: it has a fault"),
        ("absent", "absent is not installed; `make bench-baselines` installs it"),
        ("unable", "it cannot"),
    ],
)
def test_others_are_not_and_say_why(result, contender, reason):
    row = rows(result)[contender]
    assert row["not_measured"].startswith(reason)
    assert "\n" not in row["not_measured"]
    assert "milliseconds" not in row


def test_quick_leaves_out_later_cases_and_no_gpu_means_no_gpu_rows(result):
    assert {row["not_measured"] for row in rows(result, 1).values()} == {"left out by --quick"}
    if not torch.cuda.is_available():
        (reason,) = {row["not_measured"] for row in rows(result, 2).values()}
        assert reason == "this machine has no GPU that torch can use"


def test_result_says_where_it_is_from(result):
    assert result["threads"] == torch.get_num_threads()
    assert Version(result["packages"]["torch"]).public == Version(torch.__version__).public
    assert result["machine"]["cpu"]
    assert result["date"]


def test_result_becomes_page_plot_and_overview(result, tmp_path):
    (tmp_path / "tiny.json").write_text(json.dumps(result))
    written = report.write(tmp_path)
    assert [path.name for path in written] == ["tiny.md", "tiny.svg", "index.md"]
    assert "Not measured: all: " in written[0].read_text()
    assert "[tiny](tiny.md)" in written[2].read_text()
