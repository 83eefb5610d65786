"""A configuration of known parts is Hydra's own."""

from __future__ import annotations

import copy
from dataclasses import make_dataclass

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf

from spikeformer.cli.config import register_resolvers
from tests.commands import CONF
from tests.composition import hydras_own


def composed(*overrides, folder=CONF, name="train"):
    register_resolvers()
    with initialize_config_dir(str(folder), version_base="1.3"):
        return compose(name, overrides=list(overrides), return_hydra_config=True)


@pytest.mark.parametrize(
    "overrides",
    [
        ("neuron=plif", "model.d_model=64", "++trainer.overfit_batches=1", "~regularizer"),
        ("pipeline=convert", "data=cifar10", "model.pretrained=x", "hydra.job.name=x"),
        ("experiment=cifar10_hybrid", "debug=fast", "data={batch_size: 3}", "logger=many"),
    ],
)
def test_equals_hydras_own(overrides):
    with hydras_own():
        expected = composed(*overrides)
    for _ in range(2):  # made, and known
        config = composed(*overrides)
        assert OmegaConf.to_yaml(config) == OmegaConf.to_yaml(expected)
        assert OmegaConf.is_struct(config)
        assert OmegaConf.get_type(config.trainer) is OmegaConf.get_type(expected.trainer)
        config.seed = 5  # nobody else's
    assert composed("seed=7").seed == 7


def test_what_hydra_refuses_is_refused_again():
    for _ in range(2):
        with pytest.raises(ConfigCompositionException, match="neurone"):
            composed("neurone=plif")
        with pytest.raises(ConfigCompositionException, match="timestep"):
            composed("timestep=3")


def test_changed_files_and_schemas_are_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(ConfigStore.instance(), "repo", copy.deepcopy(ConfigStore.instance().repo))
    (tmp_path / "neuron").mkdir()
    (tmp_path / "own.yaml").write_text("defaults: [/schema/own@_here_: own, _self_]\n")
    search = f"hydra.searchpath=[file://{tmp_path}]"
    for number in (1, 22):
        node = make_dataclass("Own", [("width", int, number)])
        ConfigStore.instance().store(group="schema/own", name="own", node=node)
        assert composed(folder=tmp_path, name="own").width == number
        (tmp_path / "neuron" / "own.yaml").write_text(
            f"defaults: [lif_hard, _self_]\nthreshold: {number}.0\n"
        )
        assert composed(search, "neuron=own").neuron.threshold == number
