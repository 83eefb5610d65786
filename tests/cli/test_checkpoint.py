"""A checkpoint brings the configuration of its run along; what is given wins."""

from __future__ import annotations

import json

import pytest
import yaml
from omegaconf import OmegaConf

from spikeformer.cli.checkpoint import differences, with_checkpoints_overrides
from spikeformer.cli.config import compose
from spikeformer.config import recorded

MADE_WITH = (
    "model=spiking_vit_tiny",
    "neuron=plif",
    "timesteps=3",
    "model.threshold=0.5",
    "data.val_fraction=0.25",
    "neuron.tau_mem=3.5",
)
CHOICES = {"model": "spiking_vit_tiny", "neuron": "plif", "data": "digits", "optimizer": "sgd"}


@pytest.fixture
def run(tmp_path):
    """Leave what a run leaves, as far as it is looked at, and return its checkpoint's override."""

    def leave(*overrides, where="checkpoints", choices=CHOICES):
        folder = tmp_path / "a run=1"
        (folder / where).mkdir(parents=True)
        (folder / "config.yaml").write_text(yaml.safe_dump(recorded(compose(*overrides))))
        if choices:
            (folder / "manifest.json").write_text(json.dumps({"choices": choices}))
        (folder / where / "last.ckpt").touch()
        return f"checkpoint='{folder / where / 'last.ckpt'}'"

    return leave


def composed(*arguments):
    return compose(*with_checkpoints_overrides(arguments))


def plain(config, *keys):
    return {key: OmegaConf.to_container(config[key], resolve=True) for key in keys}


@pytest.mark.parametrize("choices", [CHOICES, None])
@pytest.mark.parametrize("where", ["checkpoints", "."])
def test_network_and_data_are_those_of_the_run(run, where, choices):
    expected = compose(*MADE_WITH)
    config = composed(run(*MADE_WITH, where=where, choices=choices), "pipeline=evaluate")
    assert config.timesteps == 3
    keys = ("model", "neuron", "encoding", "attention", "data", "task", "loss")
    assert plain(config, *keys) == plain(expected, *keys)
    assert config.optimizer == compose().optimizer
    assert differences(config).startswith("network and data are those of")
    assert "except" not in differences(config)


def test_what_is_given_wins_and_what_refers_to_it_follows(run):
    config = composed(run(*MADE_WITH), "timesteps=8", "data.val_fraction=0.5", "neuron.tau_mem=2.0")
    assert config.timesteps == config.model.timesteps == config.encoding.timesteps == 8
    assert config.model.neuron.tau_mem == 2.0
    assert config.model.threshold == 0.5
    line = differences(config)
    assert "timesteps=8 (3), " in line
    assert "neuron.tau_mem=2.0 (3.5)" in line
    assert "data.val_fraction=0.5 (0.25)" in line
    assert "model." not in line


def test_another_group_is_taken_as_it_is(run):
    config = composed(run(*MADE_WITH), "neuron=lif")
    assert config.neuron == compose("neuron=lif").neuron
    assert config.model.threshold == 0.5
    other = "neuron._target_=spikeformer.neurons.LifNeuron (spikeformer.neurons.Parametric"
    assert other in differences(config)
    same = composed(run(*MADE_WITH, where="again"), "neuron=plif")
    assert same.neuron.tau_mem == 3.5


def test_what_an_experiment_set_is_there_too(run):
    expected = compose("experiment=fsdd_cpu")
    choices = {"model": "spiking_vit_tiny", "data": "fsdd", "neuron": "lif_hard"}
    config = composed(run("experiment=fsdd_cpu", choices=choices))
    assert plain(config, "model", "data") == plain(expected, "model", "data")
    assert config.trainer == compose().trainer


@pytest.mark.parametrize(
    "arguments",
    [
        ["seed=1"],
        ["checkpoint=null"],
        ["checkpoint=absent.ckpt"],
        ["checkpoint=a.ckpt,b.ckpt", "--multirun"],
    ],
)
def test_without_a_run_nothing_is_added(arguments):
    assert with_checkpoints_overrides(arguments) == arguments


def test_an_experiment_and_a_sweep_say_all_themselves(run):
    checkpoint = run(*MADE_WITH)
    for more in (["experiment=digits"], ["-m"]):
        assert with_checkpoints_overrides([*more, checkpoint]) == [*more, checkpoint]


def test_doing_it_twice_changes_nothing(run):
    once = with_checkpoints_overrides([run(*MADE_WITH), "timesteps=8"])
    assert with_checkpoints_overrides(once) == once


def test_what_was_masked_or_looked_up_is_left_alone(run, tmp_path):
    checkpoint = run(*MADE_WITH)
    file = tmp_path / "a run=1" / "config.yaml"
    content = yaml.safe_load(file.read_text())
    content["data"]["val_fraction"] = "${oc.env:HOME}"
    content["neuron"]["tau_mem"] = "***"
    content["model"]["evil key=[x]"] = 1
    content["trusted_packages"] = ["evil"]
    file.write_text(yaml.safe_dump(content))
    added = with_checkpoints_overrides([checkpoint])
    assert not any("HOME" in word or "***" in word or "evil" in word for word in added[1:])


def test_a_checkpoint_alone_tells_nothing(tmp_path):
    (tmp_path / "last.ckpt").touch()
    config = compose(f"checkpoint={tmp_path / 'last.ckpt'}")
    assert differences(config) is None
    assert differences(compose()) is None
