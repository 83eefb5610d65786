"""A model card says what the run measured, and nothing else."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from spikeformer.error_handling import ConfigurationError
from spikeformer.models import SpikingNetwork
from spikeformer.runs import DataResults, RunFolder, TestResults, load_run
from spikeformer.runs.card import model_card
from tests.reporting.synthetic import write_energy
from tests.runs.test_loading import folder  # noqa: F401 - a fixture


@pytest.fixture
def tested(folder):  # noqa: F811
    files = RunFolder(folder)
    matrix = np.diag([30] * 10)
    matrix[0, 1] = 3
    TestResults({"accuracy": 300 / 303, "loss": 0.25}, confusion_matrix=matrix).save(files)
    DataResults(class_names=[f"n{i}" for i in range(10)]).save(files)
    return folder


def test_a_card_gives_the_runs_numbers(tested):
    write_energy(tested)
    overrides = "- timesteps=2\n- data.path=/my/place\n- paths.output_dir=x\n- +data.words='~/me'"
    (tested / "overrides.yaml").write_text(overrides)
    card = model_card(load_run(tested), "lab/net")
    assert "**99.01%**, 300 of 303 samples (95 % interval 97.13% to 99.66%" in card
    assert "loss: 0.25" in card
    assert "`n0`, `n1`" in card
    assert re.search(r"Energy of a sample: \d+\.?\d* [nµ]J .*, estimate; ", card)
    assert "python train.py timesteps=2\n" in card
    assert "/my/place" not in card
    assert "~/me" not in card
    assert "with `data.path=...`, `data.words=...`, which lay" in card
    assert 'from_pretrained("lab/net")' in card


def test_a_card_says_in_what_numbers_the_network_was_tested(tested):
    run = load_run(tested)
    assert "precision" not in model_card(run)
    run.config.trainer.precision = "bf16-mixed"
    assert "last epoch, tested in the training's precision, bf16-mixed." in model_card(run)


def test_what_was_not_measured_is_said(folder):  # noqa: F811
    card = model_card(load_run(folder))
    assert "Not tested." in card
    assert "not estimated" in card


def test_a_run_and_its_saved_network_are_the_same_thing(tested, tmp_path):
    run = load_run(tested)
    again = SpikingNetwork.from_pretrained(run.save_pretrained(tmp_path / "saved"))
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(again(images), run.network(images))
    assert again.trained_on == run.network.trained_on
    assert again.run == run.network.run
    assert again.run.results["accuracy"] == pytest.approx(300 / 303)
    assert "path" not in again.trained_on.settings
    assert again.trained_on.data().given.class_names == run.results.data.class_names
    assert "**99.01%**" in (tmp_path / "saved" / "README.md").read_text()


def test_a_network_that_no_file_describes_is_refused(tested, tmp_path):
    run = load_run(tested)
    run.network = torch.nn.Linear(2, 2)
    with pytest.raises(ConfigurationError, match="made a Linear"):
        run.save_pretrained(tmp_path / "saved")
