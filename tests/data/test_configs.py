from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import ConfigCompositionException
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from spikeformer.config.schema import data as schemas
from spikeformer.data import SpikingDataModule

CONF = Path(__file__).parents[2] / "conf"
OWN = ["data.path=somewhere", "data.num_classes=3"]
EVENT_SETS = ("nmnist", "ncaltech101", "ncars", "cifar10_dvs", "dvs_gesture", "shd", "ssc")
CASES = {
    "digits": [],
    "digits_dvs": [],
    "cifar10": [],
    "fashion_mnist": [],
    "fsdd": [],
    "image_folder": OWN,
    "sst2": [],
    "csv_text": OWN,
    "event_folder": OWN,
    "fsdd_spikes": [],
    **dict.fromkeys(EVENT_SETS, OWN[:1]),
}


# Text data choose the model that reads it; a group is chosen before the one that overrules it.
ROOT = {
    "defaults": [
        {"encoding": "direct"},
        {"attention": "qk_token"},
        {"model": "spiking_vit"},
        {"data": "digits"},
        "_self_",
    ]
}


def composed(name, *overrides):
    ConfigStore.instance().store(name="data_test_root", node=ROOT)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("data_test_root", overrides=[f"data={name}", *overrides])


def test_every_file_is_tried():
    """Those of other packages are tried there: sequences of tasks, and what overrides the model."""
    elsewhere = {"digits_av", "permuted_digits", "split_cifar10", "split_digits", "text_file"}
    assert {file.stem for file in (CONF / "data").glob("*.yaml")} == {*CASES, *elsewhere}


@pytest.mark.parametrize("name", CASES)
def test_composes_and_instantiates(name):
    config = composed(name, *CASES[name]).data
    assert OmegaConf.missing_keys(config) == set()
    data = instantiate(config)
    assert isinstance(data, SpikingDataModule)
    assert data.num_classes == config.num_classes


def test_keys_that_models_refer_to():
    for name in ("digits", "digits_dvs", "cifar10", "fashion_mnist", "image_folder", "fsdd"):
        config = composed(name, *CASES[name]).data
        assert len(config.image_size) == 2
        assert {"in_channels", "num_classes"} <= set(config)
    assert list(composed("fsdd", "data.num_mels=40").data.image_size) == [40, 64]


@pytest.mark.parametrize("name", ["sst2", "csv_text"])
def test_text_chooses_the_model_that_reads_it(name):
    config = composed(name, *CASES[name])
    assert config.model == composed(name, *CASES[name], "model=spiking_transformer").model


def test_a_misspelt_key_and_a_wrong_type_are_refused():
    with pytest.raises(ConfigCompositionException, match="max_shfit"):
        composed("digits", "data.max_shfit=1")
    with pytest.raises(ConfigCompositionException, match="batch_size"):
        composed("digits", "data.batch_size=many")


@pytest.mark.parametrize("name", ["Digits", "DigitsDvs", "Image", "Text", "Audio"])
def test_schema_mirrors_the_constructor(name):
    schema = getattr(schemas, f"{name}Config")
    target = get_class(schema._target_)
    arguments = {
        key: parameter.default
        for owner in target.__mro__
        if owner.__module__.startswith("spikeformer.") and "__init__" in vars(owner)
        for key, parameter in inspect.signature(owner.__init__).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    in_schema = {field.name for field in fields(schema)} - {"_target_"}
    assert in_schema == set(arguments)
    made = schema()
    for key, default in arguments.items():
        value = getattr(made, key)
        assert value == (list(default) if isinstance(default, tuple) else default), key
