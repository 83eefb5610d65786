"""The callbacks of the `regularizer` group, in whole runs."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from spikeformer.cli import compose as composed
from spikeformer.error_handling import ConfigurationError
from spikeformer.pipeline import run_pipeline
from spikeformer.research import (
    EwcRegularizer,
    MetaplasticRegularizer,
    TaskProtocol,
)
from tests.research.test_training import TASKS, weights
from tests.training.toys import lightning_trainer, module, toy_loaders, toy_net


@pytest.mark.slow
def test_ewc_regularizer_begins_with_the_second_task_and_norms_stay(tmp_path):
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
def test_metaplastic_regularizer_consolidates_while_training(tmp_path):
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


def test_regularizers_refuse_data_without_tasks():
    for callback, match in (
        (TaskProtocol(), "callbacks.task_protocol needs data that is a sequence"),
        (EwcRegularizer(), "regularizer=ewc needs data that is a sequence"),
        (MetaplasticRegularizer(), "Choose model=metaplastic"),
    ):
        task = module(toy_net())
        with pytest.raises(ConfigurationError, match=match):
            lightning_trainer(callbacks=[callback]).fit(task, *toy_loaders())
        assert not task.penalties
