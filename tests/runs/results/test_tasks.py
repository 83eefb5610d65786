"""Accuracies of continual learning in their file and back."""

from __future__ import annotations

import pytest

from spikeformer.runs import RunFolder, TaskResults


def test_task_results_come_back(tmp_path):
    for saved in (
        TaskResults(["0, 1", "<2>"], [[1.0, 0.5]]),
        TaskResults(["0, 1", "<2>"], [[1.0, 0.5], [0.75, 1.0]], 0.875, 0.25),
    ):
        saved.save(RunFolder(tmp_path))
        assert TaskResults.load(RunFolder(tmp_path)) == saved


@pytest.mark.parametrize("rows", [[[1.0]], [[1.0, 0.0, 0.5]], [[1.0, 0.0]] * 3])
def test_task_results_have_a_column_for_each_task(rows):
    with pytest.raises(ValueError, match="rows of 2"):
        TaskResults(["a", "b"], rows)
