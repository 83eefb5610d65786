"""What a chip did, in its file and back."""

from __future__ import annotations

import pytest

from spikeformer.hardware import Comparison, LayerComparison
from spikeformer.runs import HardwareResults, RunFolder, VerificationResults
from tests.reporting.synthetic import write_hardware


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


def test_hardware_results_come_back(folder):
    write_hardware(folder.path)
    saved = HardwareResults.load(folder)
    assert saved is not None
    assert saved.placement is not None
    assert (saved.placement.num_cores, saved.layers[1].state) == (3, (-812.5, 603.0))
    saved.save(folder)
    assert HardwareResults.load(folder) == saved


def test_hardware_results_as_numbers(folder):
    write_hardware(folder.path)
    found = HardwareResults.load(folder)
    assert found is not None
    numbers = found.numbers()
    assert (numbers["mismatches"], numbers["chip_mismatches"]) == (0, 1024)
    assert (numbers["cores"], numbers["chips"], numbers["latency_steps"]) == (3, 1, 5)
    assert (numbers["accuracy"], numbers["accuracy_pytorch"]) == (0.9765625, 0.984375)


def test_verification_results_come_back(folder):
    layers = (
        LayerComparison("a/<b>", 7, 0, 40, None),
        LayerComparison("層", 9, 2, 60, (0, 3, 11)),
    )
    saved = VerificationResults(
        Comparison(5, layers).between("pytorch_float64", "graph_numpy"),
        Comparison(5, layers[:1]).between("pytorch_float64", "pytorch_float32"),
    )
    saved.save(folder)
    assert VerificationResults.load(folder) == saved
    assert saved.numbers() == {
        "samples": 5,
        "mismatches": 2,
        "compared": 100,
        "float32_mismatches": 0,
    }
