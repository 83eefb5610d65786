"""Sequences of tasks through the pipeline."""

from __future__ import annotations

import json
from types import SimpleNamespace
from unittest import mock

import pandas as pd
import pytest
import torch

from spikeformer.cli import compose as composed
from spikeformer.error_handling import ConfigurationError
from spikeformer.neurons import SpikingNeuron
from spikeformer.pipeline import load_run, run_pipeline
from spikeformer.research import (
    AdaptiveThresholdNeuron,
    EwcRegularizer,
    MetaplasticRegularizer,
    TaskProtocol,
)
from tests.runs import SMALL
from tests.training.toys import lightning_trainer, module, toy_loaders, toy_net

TASKS = (
    "experiment=continual_split_digits",
    *SMALL,
    "data.num_tasks=2",
    "trainer.max_epochs=4",
    "trainer.accelerator=cpu",
    "regularizer=ewc",
    "regularizer.max_samples=4",
    "logger=none",
)


def weights(folder, name="last"):
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*exists and is not empty")
def test_a_sequence_resumes_to_the_same_end(tmp_path, monkeypatch):
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
            run_pipeline(composed(*TASKS), cut)
    run_pipeline(composed(*TASKS), cut)
    assert json.loads((cut / "results" / "tasks.json").read_text()) == found
    first, second = weights(whole)["state_dict"], weights(cut)["state_dict"]
    assert all(torch.equal(first[key], second[key]) for key in first)
    states = [weights(folder)["callbacks"]["EwcRegularizer"] for folder in (whole, cut)]
    assert int(states[0]["num_tasks"]) == 1
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.slow
def test_the_penalty_begins_with_the_second_task_and_norms_stay(tmp_path):
    run_pipeline(
        composed(*TASKS, "pipeline.stages=[{_target_: spikeformer.pipeline.Fit}]"), tmp_path
    )
    history = pd.read_csv(tmp_path / "metrics.csv")
    assert history["train/ewc"].tolist()[:2] == [0.0, 0.0]
    assert (history["train/ewc"].iloc[2:] > 0).all()
    first, last = (weights(tmp_path, name)["state_dict"] for name in ("task-1", "last"))
    norms = [key for key in first if "running_" in key]
    assert norms
    assert all(torch.equal(first[key], last[key]) for key in norms)
    assert not all(torch.equal(first[key], last[key]) for key in first)


@pytest.mark.slow
def test_metaplastic_synapses_consolidate_while_training(tmp_path):
    config = composed(
        "experiment=metaplastic_digits",
        "model.d_model=8",
        "model.num_layers=1",
        "trainer.max_epochs=2",
        "trainer.limit_train_batches=2",
        "trainer.accelerator=cpu",
        "logger=none",
        "pipeline.stages=[{_target_: spikeformer.pipeline.Fit}]",
    )
    run_pipeline(config, tmp_path)
    state = weights(tmp_path)["state_dict"]
    hidden = {key: value for key, value in state.items() if key.endswith(".hidden")}
    assert len(hidden) == 2
    for key, value in hidden.items():
        assert torch.equal(value, state[key.replace(".hidden", ".consolidated")])
        assert float(value.abs().max()) > 0.0101  # it has moved, and was consolidated


@pytest.mark.slow
def test_the_adaptive_neuron_trains_and_comes_back(tmp_path):
    config = composed(
        "neuron=adaptive_threshold",
        *SMALL,
        "trainer.max_epochs=3",
        "trainer.accelerator=cpu",
        "logger=none",
    )
    run_pipeline(config, tmp_path)
    run = load_run(tmp_path)
    neurons = [m for m in run.model.modules() if isinstance(m, SpikingNeuron)]
    assert len(neurons) > 4
    assert all(isinstance(neuron, AdaptiveThresholdNeuron) for neuron in neurons)
    assert len({float(neuron.threshold) for neuron in neurons}) == len(neurons)


def test_callbacks_refuse_data_without_tasks():
    for callback, match in (
        (TaskProtocol(), "callbacks.task_protocol needs data that is a sequence"),
        (EwcRegularizer(), "regularizer=ewc needs data that is a sequence"),
        (MetaplasticRegularizer(), "Choose model=metaplastic"),
    ):
        task = module(toy_net())
        with pytest.raises(ConfigurationError, match=match):
            lightning_trainer(callbacks=[callback]).fit(task, *toy_loaders())
        assert not task.penalties


def test_a_sequence_goes_on_inside_an_epoch_with_its_norms_fixed_and_refuses_other_epochs():
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


def test_epochs_are_shared_out_evenly(tmp_path):
    config = composed(*TASKS, "trainer.max_epochs=3")
    with pytest.raises(ConfigurationError, match=r"trainer\.max_epochs=20"):
        run_pipeline(config, tmp_path)
