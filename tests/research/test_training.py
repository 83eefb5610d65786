"""Sequences of tasks through the pipeline."""

from __future__ import annotations

import pytest
import torch

from spikeformer.cli import compose as composed
from spikeformer.error_handling import ConfigurationError
from spikeformer.neurons import SpikingNeuron
from spikeformer.pipeline import load_run, run_pipeline
from spikeformer.research import (
    AdaptiveThresholdNeuron,
)
from tests.commands import SMALL

FIT = "pipeline.stages=[{_target_: spikeformer.pipeline.Fit}]"
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
def test_the_adaptive_neuron_trains_and_comes_back(tmp_path):
    config = composed(
        "neuron=adaptive_threshold",
        *SMALL,
        FIT,
        "trainer.max_epochs=1",
        "trainer.accelerator=cpu",
        "logger=none",
    )
    run_pipeline(config, tmp_path)
    run = load_run(tmp_path)
    neurons = [m for m in run.network.modules() if isinstance(m, SpikingNeuron)]
    assert len(neurons) > 4
    assert all(isinstance(neuron, AdaptiveThresholdNeuron) for neuron in neurons)
    assert len({float(neuron.threshold) for neuron in neurons}) == len(neurons)


def test_epochs_are_shared_out_evenly(tmp_path):
    config = composed(*TASKS, "trainer.max_epochs=3")
    with pytest.raises(ConfigurationError, match=r"trainer\.max_epochs=4\b"):
        run_pipeline(config, tmp_path)
