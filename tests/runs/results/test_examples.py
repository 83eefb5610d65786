"""`ExampleResults` in their file and back."""

from __future__ import annotations

import numpy as np
import pytest

from spikeformer.runs import ExampleResults, ResultsError, RunFolder

NUMBERS = {
    "targets": np.array([0, 2]),
    "predictions": np.array([1, 2]),
    "confidences": np.array([0.75, 0.5], np.float32),
}


@pytest.mark.parametrize(
    "inputs", [np.random.default_rng(0).random((2, 3, 4, 5)), np.array(["a b", "ç"])]
)
def test_example_results_come_back(tmp_path, inputs):
    ExampleResults(inputs, **NUMBERS).save(RunFolder(tmp_path))
    found = ExampleResults.load(RunFolder(tmp_path))
    np.testing.assert_array_equal(found.inputs, inputs)
    for name, value in NUMBERS.items():
        np.testing.assert_array_equal(getattr(found, name), value)


def test_example_results_of_an_empty_folder(tmp_path):
    assert ExampleResults.load(RunFolder(tmp_path)) is None


def test_example_results_refuse_other_shapes(tmp_path):
    with pytest.raises(ValueError, match=r"targets of shape \(3,\)"):
        ExampleResults(np.zeros((3, 1, 2, 2)), **NUMBERS)
    with pytest.raises(ValueError, match="images or texts"):
        ExampleResults(np.zeros((2, 4)), **NUMBERS)
    (tmp_path / "results").mkdir()
    np.savez(tmp_path / ExampleResults.file, version=ExampleResults.version, inputs=np.zeros(2))
    with pytest.raises(ResultsError, match=r"examples\.npz"):
        ExampleResults.load(RunFolder(tmp_path))
