"""The page of a step's growth."""

from __future__ import annotations

import pytest
import torch
from bench import growth as bench


def test_slope_is_the_exponent():
    assert bench.slope([1, 2, 4, 8], [3.0, 12.0, 48.0, 192.0]) == pytest.approx(2)


def test_page_and_figure_hold_every_point(tmp_path):
    points = {
        name: [{"size": n, "seconds": 0.01 * n, "bytes": n * 2**20} for n in values]
        for name, values in bench.GROWN.items()
    }
    base = vars(bench.Sizes())
    machine = {"cpu": "some CPU"}
    result = {"machine": machine, "date": "2026-01-01", "base": base, "points": points}
    page = bench.page(result)
    assert "| 32 | 320.0 ms | 32.0 MiB |" in page
    assert page.count("| **slope** | **1.00** | **1.00** |") == len(bench.GROWN)
    bench.draw(result, tmp_path / "growth.svg")
    assert (tmp_path / "growth.svg").stat().st_size > 1000


def test_a_step_trains(monkeypatch):
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    sizes = bench.Sizes(timesteps=1, tokens=4, width=32, batch=2)
    found = bench.point(sizes, 1e-9)
    assert found["seconds"] > 0
    assert found["bytes"] >= 0
