from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from spikeformer import SpikingConfig
from spikeformer.encoding import ENCODERS, RateCoding
from spikeformer.error_handling import ArgumentError
from spikeformer.models import (
    QKTokenAttention,
    SpikingAttention,
    SpikingSelfAttention,
    SpikingTransformer,
    SpikingViT,
    TokenBatchNorm,
    TokenLayerNorm,
)
from spikeformer.neurons import NEURONS, SpikingNeuron

SIZES = {"d_model": 8, "nhead": 2, "num_layers": 1}
MODELS = {
    "transformer": partial(SpikingTransformer.from_config, vocab_size=11, **SIZES),
    "vit": partial(SpikingViT.from_config, image_size=8, **SIZES),
}
models = pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)


def parts(model, kind):
    return [module for module in model.modules() if isinstance(module, kind)]


@models
@pytest.mark.parametrize("name", NEURONS)
def test_every_neuron_is_the_one_named(build, name):
    config = SpikingConfig(
        timesteps=3,
        threshold=0.7,
        neuron_model=name,
        surrogate_gradient="atan",
        tau_mem=5.0,
        tau_adp=50.0,
        beta=0.3,
    )
    model = build(config)
    neurons = parts(model, SpikingNeuron)
    assert len(neurons) >= 5
    for neuron in neurons:
        assert type(neuron) is NEURONS[name]
        assert (neuron.threshold, neuron.tau_mem) == (0.7, 5.0)
        if name != "ILIF":
            assert neuron.surrogate_type == "atan"
        if name == "AdLIF":
            assert (neuron.tau_adp, neuron.beta) == (50.0, 0.3)
    assert model.timesteps == 3
    assert {layer.timesteps for layer in parts(model, SpikingAttention)} == {3}


@models
@pytest.mark.parametrize("layer_norm", [True, False])
def test_layer_norm_and_dropout(build, layer_norm):
    model = build(SpikingConfig(timesteps=2, layer_norm=layer_norm, dropout=0.25))
    assert bool(parts(model, TokenLayerNorm)) == layer_norm
    assert bool(parts(model, TokenBatchNorm)) != layer_norm
    assert {layer.p for layer in parts(model, nn.Dropout)} == {0.25}


@pytest.mark.parametrize("name", ENCODERS)
def test_images_are_encoded_as_named(name):
    model = MODELS["vit"](SpikingConfig(timesteps=5, spike_encoding=name))
    assert type(model.encoding) is ENCODERS[name]
    assert model.encoding.timesteps == 5


def test_token_embeddings_are_always_direct_currents():
    outputs = []
    for name in ("rate", "direct"):
        torch.manual_seed(0)
        model = MODELS["transformer"](SpikingConfig(timesteps=3, spike_encoding=name)).eval()
        outputs.append(model(torch.arange(6).view(2, 3)))
    assert torch.equal(*outputs)


def test_defaults_run():
    tokens = torch.zeros(1, 2, dtype=torch.int64)
    assert MODELS["transformer"](SpikingConfig())(tokens).shape == (1, 32, 2, 8)
    assert MODELS["vit"](SpikingConfig())(torch.rand(1, 3, 8, 8)).shape == (1, 32, 4, 8)
    assert isinstance(MODELS["vit"](SpikingConfig()).encoding, RateCoding)


@pytest.mark.parametrize(
    ("model", "mechanism"), [("transformer", SpikingSelfAttention), ("vit", QKTokenAttention)]
)
def test_the_mechanism_is_the_constructors_default(model, mechanism):
    layers = parts(MODELS[model](SpikingConfig(timesteps=2)), SpikingAttention)
    assert {type(layer.mechanism) for layer in layers} == {mechanism}


@models
def test_further_arguments_override_the_configuration(build):
    model = build(SpikingConfig(timesteps=2), norm="batch", threshold=2.0)
    assert not parts(model, TokenLayerNorm)
    assert {neuron.threshold for neuron in parts(model, SpikingNeuron)} == {2.0}


def test_a_subclass_builds_itself():
    class Mine(SpikingTransformer):
        pass

    assert type(Mine.from_config(SpikingConfig(timesteps=2), 5, **SIZES)) is Mine


@models
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"neuron_model": "Izhikevich"}, "`neuron_model`.*'LIF', 'AdLIF', 'PLIF', 'ILIF'"),
        ({"surrogate_gradient": "step"}, "`surrogate_gradient`.*'fast_sigmoid'"),
    ],
)
def test_unknown_names(build, setting, message):
    with pytest.raises(ArgumentError, match=message):
        build(SpikingConfig(timesteps=2, **setting))


def test_unknown_encoding():
    with pytest.raises(ArgumentError, match=r"`spike_encoding`.*'direct', 'rate'"):
        MODELS["vit"](SpikingConfig(timesteps=2, spike_encoding="phase"))
