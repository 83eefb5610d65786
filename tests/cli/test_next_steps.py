from __future__ import annotations

import sys

import pytest

from spikeformer.cli.next_steps import next_steps
from tests.commands import SMALL
from tests.test_composition import composed


def hint(folder, *overrides, chosen="none"):
    (folder / "checkpoints").mkdir(exist_ok=True)
    (folder / "checkpoints" / "last.ckpt").touch()
    return next_steps(folder, composed(*overrides), chosen)


@pytest.fixture(autouse=True)
def without_toolchains(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["spikeformer"])
    monkeypatch.setenv("SPIKEFORMER_TOOLCHAINS", str(tmp_path / "toolchains"))


def test_a_run_that_has_trained_nothing_has_no_next_step(tmp_path):
    assert next_steps(tmp_path, composed(*SMALL), "none") is None


@pytest.mark.parametrize("neuron", ["lif_hard", "ilif"])
def test_the_target_is_one_that_works_here_and_takes_the_neurons(tmp_path, neuron):
    deploy = f"spikeformer deploy {tmp_path} hardware="
    assert f"{deploy}simulation;" in hint(tmp_path, *SMALL, f"neuron={neuron}")
    python = tmp_path / "toolchains" / "loihi2" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    (tmp_path / "toolchains" / "loihi2" / ".installed").touch()
    assert f"{deploy}loihi2;" in hint(tmp_path, *SMALL, f"neuron={neuron}")


def test_the_target_is_that_of_the_run(tmp_path):
    assert "hardware=spinnaker;" in hint(tmp_path, "hardware=spinnaker", chosen="spinnaker")


@pytest.mark.parametrize("overrides", [["neuron=lif"], ["task=regression"]])
def test_what_no_chip_takes_is_not_deployed(tmp_path, overrides):
    line = hint(tmp_path, *SMALL, *overrides)
    assert "trainer.max_epochs=N" in line
    assert "deploy" not in line
