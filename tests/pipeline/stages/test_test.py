"""The test stage measures a trained network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.pipeline import Test
from spikeformer.runs import SampleResults, TestResults


def test_test_stage_counts_the_network_s_predictions(prepared):
    result = Test().run(prepared)
    found = TestResults.load(prepared.files)
    assert found is not None
    prepared.parts.data.setup("test")
    images, labels = next(iter(prepared.parts.data.test_dataloader()))
    with torch.no_grad():
        outputs = prepared.trained()(images)
    predicted = outputs.mean(dim=1).argmax(dim=1)
    matrix = np.zeros((10, 10), int)
    np.add.at(matrix, (labels.numpy(), predicted.numpy()), 1)
    np.testing.assert_array_equal(found.confusion_matrix, matrix)
    assert found.metrics["accuracy"] == pytest.approx(matrix.trace() / len(labels))
    early = [outputs[:, : step + 1].mean(dim=1).argmax(dim=1) for step in range(outputs.shape[1])]
    expected = [(each == labels).float().mean().item() for each in early]
    assert found.accuracy_by_timestep == pytest.approx(expected)
    assert result == {**found.metrics, "num_samples": len(labels)}
    assert 0 < found.metrics["firing_rate"] < 1
    assert set(found.firing_rates) == set(found.silent) == set(found.saturated)
    assert SampleResults.load(prepared.files) is not None
    assert all(path.is_file() for path in Test().outputs(prepared))
    assert "accuracy" in Test().summary(result)


def test_test_stage_takes_the_last_or_the_best_weights():
    assert Test("best").settings() == {"weights": "best"}
    with pytest.raises(ArgumentError, match="weights"):
        Test("first")
