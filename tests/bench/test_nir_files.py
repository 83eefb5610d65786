"""The page of exchanged NIR files."""

from __future__ import annotations

from bench import nir_files as bench


def test_what_was_not_read_or_refused_is_said():
    chips = {"Loihi 2": "0 of 672", "SpiNNaker": "1 does not\nleak.", "SANA-FE": "1 does not leak."}
    read = {"mismatches": 0, "compared": 2560, "spikes": 9, "chips": chips}
    results = {
        "norse": {"read": {"lif": read}, "lif": 0.0, "cuba": 2.5e-8, "transformer": "E"},
        "sinabs": {"error": "no such environment"},
    }
    lines = bench.page(results).splitlines()
    assert lines[lines.index("## Written there, read here") + 8 :][:2] == [
        "| norse | lif | 0 of 2,560; 9 spikes | 0 of 672 | refused (1) | refused (1) |",
        "| sinabs | | no such environment | | | |",
    ]
    assert lines.count("1. 1 does not leak.") == 1
    assert lines[-2].startswith("| norse | 0 | 2e-08 | not read |")
    assert lines[-1].startswith("| sinabs | not read | not read | not read |")
    widths = [line.count("|") for line in lines if line.startswith("|")]
    assert widths == [7] * 4 + [6] * 4
