"""The page of exchanged NIR files."""

from __future__ import annotations

from bench import nir_files as bench


def test_what_could_not_be_read_is_said():
    results = {
        "norse": {"mismatches": 0, "compared": 2560, "spikes": 9, "mlp": 0.0, "transformer": "E"},
        "sinabs": {"error": "no such environment"},
    }
    *_, first, second = bench.page(results).splitlines()
    assert first.startswith("| norse | 0 of 2,560; 9 spikes | 0 | not read |")
    assert second.startswith("| sinabs | no such environment | not read | not read |")
    assert first.count("|") == second.count("|") == bench.HEAD.splitlines()[-1].count("|")
