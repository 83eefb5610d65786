from __future__ import annotations

from functools import partial

import pytest
import torch
from omegaconf import OmegaConf

from spikeformer.config import check_targets, instantiate
from spikeformer.encoding import RateCoding
from spikeformer.error_handling import ConfigurationError, SpikingDynamicsError
from spikeformer.models import SpikingViT
from spikeformer.neurons import LifNeuron

ROOT = {
    "neuron": {
        "_target_": "spikeformer.neurons.LifNeuron",
        "_partial_": True,
        "tau_mem": 5.0,
        "threshold": 0.5,
    },
    "model": {
        "_target_": "spikeformer.models.SpikingViT",
        "in_channels": 1,
        "image_size": [4, 6],
        "d_model": 8,
        "nhead": 2,
        "num_layers": 1,
        "stem_strides": [1, 2],
        "threshold": "${neuron.threshold}",
        "neuron": "${neuron}",
    },
}


def root(**overrides):
    config = OmegaConf.create(ROOT)
    for key, value in overrides.items():
        OmegaConf.update(config, key, value)
    return config


def test_makes_the_object_with_its_parts():
    model = instantiate(root().model)
    assert isinstance(model, SpikingViT)
    assert model.grid_size == (2, 3)
    assert {n.tau_mem for n in model.modules() if isinstance(n, LifNeuron)} == {5.0}


def test_makes_a_partial():
    factory = instantiate(root().neuron)
    assert isinstance(factory, partial)
    assert factory(threshold=2.0).threshold == 2.0


def test_none_is_none():
    assert instantiate(None) is None


def test_arguments_are_added():
    encoder = instantiate({"_target_": "spikeformer.encoding.RateCoding"}, timesteps=3)
    assert isinstance(encoder, RateCoding)
    assert encoder.timesteps == 3


@pytest.mark.parametrize("wrap", [OmegaConf.create, dict])
def test_only_trusted_packages(wrap):
    config = wrap({"_target_": "os.getcwd"})
    with pytest.raises(ConfigurationError, match=r"_target_=os.getcwd.*`os` is not trusted"):
        instantiate(config)
    with pytest.raises(ConfigurationError, match=r"trusted_packages=\[os\]"):
        instantiate(config)


def test_trust_reaches_every_depth_and_names_the_key():
    config = OmegaConf.create({"a": {"b": [{"c": 1}, {"_target_": "subprocess.run"}]}})
    with pytest.raises(ConfigurationError, match=r"a\.b\[1\]\._target_=subprocess.run"):
        check_targets(config)
    with pytest.raises(ConfigurationError, match=r"subprocess"):
        instantiate(config.a)


def test_a_package_can_be_trusted():
    config = {"_target_": "fractions.Fraction", "numerator": 3}
    assert instantiate(config, trusted=["fractions"]) == 3
    check_targets(OmegaConf.create(config), trusted=["fractions"])


@pytest.mark.parametrize(
    "target",
    ["torch.os.getcwd", "spikeformer.files.writing.os.getcwd", "spikeformer.neurons.plif.math.exp"],
)
def test_what_a_trusted_package_imports_is_not_trusted(target):
    with pytest.raises(ConfigurationError, match=r"not\s+trusted"):
        instantiate({"_target_": target})


@pytest.mark.parametrize(
    ("target", "value"), [("torch.zeros", [2]), ("torch.nn.functional.relu", None)]
)
def test_functions_of_trusted_packages_are(target, value):
    found = instantiate({"_target_": target, "_partial_": True})
    assert found.func is eval(target, {"torch": torch})
    assert value is None or found(value).shape == (2,)


@pytest.mark.parametrize(
    ("key", "value", "part"),
    [
        ("neuron.tau_mem", -1, "model"),  # through an interpolation, made inside the model
        ("neuron.threshold", 0.0, "model"),
        ("model.nhead", 0, "model"),
        ("model.num_layers", -2, "model"),
        ("model.stem_strides", [3], "model"),
    ],
)
def test_an_error_names_the_full_key(key, value, part):
    with pytest.raises(ConfigurationError) as caught:
        instantiate(root(**{key: value})[part])
    assert str(caught.value).startswith(f"{key}={value}: Expected `{key.split('.')[1]}`")


def test_an_error_of_a_lone_node_names_its_argument():
    with pytest.raises(ConfigurationError, match=r"^timesteps=0: Expected `timesteps`"):
        instantiate({"_target_": "spikeformer.encoding.RateCoding", "timesteps": 0})


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"_target_": "spikeformer.encoding.RateCodin"}, "RateCodin"),
        ({"_target_": "spikeformer.encoding.RateCoding", "step": 3}, "unexpected .*'step'"),
        ({"_target_": "spikeformer.models.ClassificationHead", "d_model": 3}, "num_classes"),
    ],
)
def test_what_cannot_be_built_is_one_line(node, message):
    config = OmegaConf.create({"part": node})
    with pytest.raises(ConfigurationError, match=message) as caught:
        instantiate(config.part)
    assert str(caught.value).startswith("part: ")
    assert "\n" not in str(caught.value)


def test_a_missing_value_is_named():
    config = root(**{"model.d_model": "???"})
    with pytest.raises(ConfigurationError, match=r"model.d_model has no value yet"):
        instantiate(config.model)


def test_errors_of_ours_pass_as_they_are():
    config = {
        "_target_": "spikeformer.config.instantiate",
        "_recursive_": False,
        "config": {"_target_": "tests.config.test_instantiate.fail"},
        "trusted": ["tests"],
    }
    with pytest.raises(SpikingDynamicsError, match="as it is"):
        instantiate(config, trusted=["tests"])


def fail():
    raise SpikingDynamicsError("as it is")
