"""The page of training on a busy machine."""

from __future__ import annotations

from bench import busy as bench


def test_ratios_are_to_the_fastest_alone():
    result = {
        "machine": {"cpu": "some CPU", "cores": 2},
        "date": "2026-01-01",
        "epochs": 3,
        "rounds": 2,
        "seconds": {
            "alone": {"spinning": 10.0, "sleeping": 11.0},
            "busy": {"spinning": 50.0, "sleeping": 20.0},
        },
    }
    page = bench.page(result)
    assert "| nothing | 10.0 s, 1.0x | 11.0 s, 1.1x |" in page
    assert "| a burner process per core | 50.0 s, 5.0x | 20.0 s, 2.0x |" in page
