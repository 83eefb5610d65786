"""One sample and its spikes, on the page."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from spikeformer.reporting.sections import sample
from spikeformer.runs import RunFolder, SampleResults
from tests.reporting.page import report, words


def test_tokens_are_listed_without_padding(bare_folder: Path) -> None:
    arrays = {
        "input_ids": np.array([101, 2307, 102, 0]),
        "mask": np.array([True, True, True, False]),
    }
    SampleResults(arrays).save(RunFolder(bare_folder))
    page = report(bare_folder)
    assert re.findall(r"<li>(\d+)</li>", page) == ["101", "2307", "102"]


def test_text_tokens_win_over_ids(bare_folder: Path) -> None:
    arrays = {"input": np.array([5, 6]), "tokens": np.array(["a", "<b>"])}
    SampleResults(arrays).save(RunFolder(bare_folder))
    page = report(bare_folder)
    assert "<li>a</li>" in page
    assert "<li>&lt;b&gt;</li>" in page
    assert "<li>5</li>" not in page


def test_a_deep_network_makes_a_light_page(
    bare_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "_MAX_LAYERS", 15)
    rng = np.random.default_rng(0)
    spikes = {f"l{i}": (rng.random((512, 256)) < 0.5).astype(np.uint8) for i in range(17)}
    SampleResults(spikes=spikes).save(RunFolder(bare_folder))
    page = report(bare_folder)
    assert len(page) < 3_000_000
    assert "3 more layers" in words(page)
    assert "2 more layers are in results/sample.npz" in words(page)


@pytest.mark.parametrize(
    ("rows", "step"),
    [
        ([[2, 1], [2, 1], [2, 1]], 1),
        ([[2, 1], [0, 5], [0, 0]], 2),
        ([[0, 1], [2, 0], [0, 3]], 3),
        ([[0, 1], [0, 0], [2, 0], [1, 0]], 3),
        ([[1, 2]], None),
    ],
)
def test_the_step_from_which_the_mean_output_keeps_its_class(rows, step) -> None:
    assert sample.decided_after(np.array(rows, float)) == step


def test_the_page_says_after_how_many_steps_the_network_decided(bare_folder: Path) -> None:
    output = np.array([[2, 1], [0, 5], [0, 0], [0, 0]], np.float32)
    found = SampleResults(
        {"input": np.zeros((4, 2, 5, 5))}, np.array(1), np.array(1), output=output
    )
    found.save(RunFolder(bare_folder))
    assert "had decided after 2 of 4 timesteps" in words(report(bare_folder))


@pytest.mark.parametrize(
    ("shape", "low", "told"),
    [((4, 2, 5, 5), 0.0, True), ((4, 1, 5, 5), -1.0, True), ((4, 1, 1, 9), 0.0, False)],
)
def test_the_page_says_what_the_colours_of_events_mean(bare_folder: Path, shape, low, told) -> None:
    array = np.zeros(shape, np.float32)
    array[0] = low
    SampleResults({"input": array}, np.array(1), np.array(1)).save(RunFolder(bare_folder))
    assert ("brighter in blue, darker in orange" in words(report(bare_folder))) == told


def test_values_are_no_decision(bare_folder: Path) -> None:
    output = np.array([[2, 1], [0, 5]], np.float32)
    values = np.array([1.0, 2.0], np.float32)
    SampleResults({"input": np.zeros(3)}, values, values, output=output).save(
        RunFolder(bare_folder)
    )
    assert "had decided after" not in words(report(bare_folder))
