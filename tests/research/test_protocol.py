"""Training a sequence of tasks: what happens between two of them, and resuming."""

from __future__ import annotations

import json
from types import SimpleNamespace
from unittest import mock

import pytest
import torch

from spikeformer.cli import compose as composed
from spikeformer.error_handling import ConfigurationError
from spikeformer.pipeline import run_pipeline
from spikeformer.research import (
    TaskProtocol,
)
from tests.research.test_training import FIT, TASKS, weights


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*exists and is not empty")
def test_task_protocol_resumes_to_the_same_end(tmp_path, monkeypatch):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    results = run_pipeline(composed(*TASKS), whole)
    found = json.loads((whole / "results" / "tasks.json").read_text())
    assert found["tasks"] == ["0, 1", "2, 3"]
    assert len(found["accuracy"]) == 2
    # The test stage's samples are those of both tasks.
    assert results["test"]["accuracy"] == pytest.approx(found["average_accuracy"], abs=0.03)
    assert 'id="tasks"' in (whole / "report.html").read_text()
    assert (whole / "figures" / "tasks.svg").is_file()
    assert set(weights(whole, "task-1")["state_dict"]) == set(weights(whole)["state_dict"])

    # Interrupted in the first epoch of the second task.
    class CutShortError(RuntimeError):
        pass

    def interrupt(self, trainer, *_):
        if trainer.current_epoch == 2:
            raise CutShortError

    with monkeypatch.context() as patch:
        patch.setattr(TaskProtocol, "on_train_batch_start", interrupt)
        with pytest.raises(CutShortError):
            run_pipeline(composed(*TASKS, FIT), cut)
    run_pipeline(composed(*TASKS, FIT), cut)
    assert json.loads((cut / "results" / "tasks.json").read_text()) == found
    first, second = weights(whole)["state_dict"], weights(cut)["state_dict"]
    assert all(torch.equal(first[key], second[key]) for key in first)
    states = [weights(folder)["callbacks"]["EwcRegularizer"] for folder in (whole, cut)]
    assert int(states[0]["num_tasks"]) == 1
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)


def test_task_protocol_goes_on_inside_an_epoch_with_its_norms_fixed_and_refuses_other_epochs():
    data = SimpleNamespace(task_of=lambda epoch: epoch // 2, num_tasks=2)
    trainer = SimpleNamespace(max_epochs=4, current_epoch=3, datamodule=data)
    net = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 2))
    protocol = TaskProtocol()
    protocol.load_state_dict({"matrix": [[1.0, 0.0]], "epochs": 4})
    with mock.patch("spikeformer.research.protocol.TaskSequence", SimpleNamespace):
        protocol.on_train_start(trainer, net)
        assert [module.training for module in net] == [False, True]
        trainer.max_epochs = 8
        with pytest.raises(ConfigurationError, match=r"Resume it with trainer\.max_epochs=4"):
            protocol.on_train_start(trainer, net)
