from __future__ import annotations

import pytest

from spikeformer.error_handling import ArgumentError
from spikeformer.reporting.figures import plot_tasks


def test_writes_every_accuracy_and_names_tasks():
    axes = plot_tasks([[0.987, 0.5, 0.1]], ["a", "b", "$c"]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["99", "50", "10"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "$c"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a"]


def test_many_tasks_are_not_written():
    names = [str(task) for task in range(20)]
    assert not plot_tasks([[0.5] * 20] * 20, names).axes[0].texts


@pytest.mark.parametrize("matrix", [[[0.5]], [[0.5, 0.5]] * 3, [0.5, 0.5]])
def test_refuses_names_that_do_not_fit(matrix):
    with pytest.raises(ArgumentError, match="names"):
        plot_tasks(matrix, ["a", "b"])
