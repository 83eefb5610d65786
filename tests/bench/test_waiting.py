"""The page of what a person waits for."""

from __future__ import annotations

from bench import waiting as bench


def test_the_page_has_a_row_for_each_wait():
    result = {
        "command": "python scripts/bench/waiting.py --rounds 3",
        "machine": {"cpu": "some CPU", "cores": 2, "python": "3.11.7"},
        "packages": {"torch": "2.13.0"},
        "date": "2026-01-01",
        "rounds": 3,
        "seconds": {
            "`spikeformer --help`": {"wall": 1.5, "cpu": 1.25},
            bench.BOUND: {"wall": 4.0, "cpu": 3.75},
            bench.FIRST: {"wall": 8.0, "cpu": 7.0},
        },
    }
    page = bench.page(result)
    assert "| `spikeformer --help` | 1.50 s |  | 1.25 s |" in page
    assert f"| {bench.FIRST} | 8.00 s | 5 s | 7.00 s |" in page
    assert "By itself it takes\n4.00 s here" in page
    assert "medians of 3 processes" in page


def test_the_time_of_a_command_is_that_of_its_process():
    wall, cpu = bench.command("-c", "sum(i * i for i in range(3_000_000))")
    assert wall > 0
    assert cpu > 0.02
