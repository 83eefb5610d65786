"""Test results in their file and back."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from spikeformer.reporting import build_report
from spikeformer.runs import ResultsError, RunFolder, TestResults


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


def test_test_results_come_back(folder):
    matrix = np.array([[3, 1], [0, 2]])
    saved = TestResults(
        {"accuracy": 5 / 6, "auroc": math.nan, "loss": math.inf},
        ["<cat>", "狗"],
        matrix,
        {"a.b": 0.125},
        {"a.b": 0.0},
        {"a.b": 1.0},
        6,
    )
    saved.save(folder)
    found = TestResults.load(folder)
    assert found is not None
    assert math.isnan(found.metrics.pop("auroc"))
    assert found.metrics == {"accuracy": 5 / 6, "loss": math.inf}
    assert found.confusion_matrix is not None
    assert found.confusion_matrix.dtype.kind == "i"
    assert found.confusion_matrix.tolist() == matrix.tolist()
    for name in ("class_names", "firing_rates", "silent", "saturated", "num_samples"):
        assert getattr(found, name) == getattr(saved, name)


def test_test_results_without_classes_come_back(folder):
    TestResults({"mse": 0.5}).save(folder)
    assert TestResults.load(folder) == TestResults({"mse": 0.5})


def test_test_results_read_null_as_not_a_number(folder):
    path = folder.result("test.json")
    path.parent.mkdir()
    path.write_text('{"version": 1, "metrics": {"auroc": null, "accuracy": 0.5}}')
    found = TestResults.load(folder)
    assert found is not None
    assert found.metrics["accuracy"] == 0.5
    assert math.isnan(found.metrics["auroc"])
    assert "nan" in build_report(folder.path, save_figures=False).read_text(encoding="utf-8")


def test_test_results_as_numbers():
    assert TestResults({"mse": 0.5}, num_samples=4).numbers() == {"mse": 0.5, "num_samples": 4}


@pytest.mark.parametrize(
    "content",
    [
        {"metrics": {"accuracy": "good"}},
        {"class_names": "abc"},
        {"num_samples": "many"},
        {"confusion_matrix": [[1, 2]]},
        {"confusion_matrix": [[1, 2], [3]]},
        {"confusion_matrix": [["a"]]},
        {"confusion_matrix": [[0.5]]},
        {"confusion_matrix": {}},
        {"confusion_matrix": [[1]], "class_names": ["a", "b"]},
    ],
)
def test_test_results_that_are_broken_are_named(folder, content):
    path = folder.result("test.json")
    path.parent.mkdir()
    path.write_text(json.dumps({"version": 1, **content}))
    with pytest.raises(ResultsError, match=r"test\.json to hold JSON"):
        TestResults.load(folder)
