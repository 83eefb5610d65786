from __future__ import annotations

from functools import partial

import pytest
import torch

from spikeformer.error_handling import ArgumentError, ConfigurationError, SpikingDynamicsError
from spikeformer.fusion import FusionConfig
from spikeformer.models import SpikingNetwork, unrolled
from spikeformer.models.network import TrainedOn
from spikeformer.multimodal import (
    AudioSpikeEncoder,
    MultiModalNetwork,
    TextSpikeEncoder,
    VisionSpikeEncoder,
)
from spikeformer.neurons import IntegerLifNeuron, LifNeuron

soft = partial(LifNeuron, tau_mem=2.0, surrogate_type="atan")


def network(fusion_type="cross_attention", modalities=None, neuron=soft, **others):
    encoders = {
        "vision": VisionSpikeEncoder(8, 2, in_channels=1, strides=[2], neuron=neuron),
        "audio": AudioSpikeEncoder(16, 2, num_mels=16, neuron=neuron),
    }
    fusion = FusionConfig(fusion_type, shared_dim=8, num_heads=2, timesteps=2, dropout=0.0)
    settings = {"num_layers": 1, "neuron": neuron, "modalities": modalities, **others}
    return MultiModalNetwork(encoders, fusion, 4, **settings)


def samples(batch=6):
    return {"vision": torch.rand(batch, 1, 6, 6), "audio": torch.randn(batch, 900)}


def test_it_is_its_encoders_and_its_transformer():
    net, given = network().eval(), samples()
    spikes = {name: net.encoders[name].encode(x) for name, x in given.items()}
    assert net(**given).shape == (6, 2, 4)
    assert torch.equal(net(**given), net.transformer.evidence(spikes))


def test_masks_are_a_dict_of_tensors():
    with pytest.raises(ArgumentError, match="a dict by modality"):
        network()(**samples(), modality_mask=torch.ones(6).bool())
    with pytest.raises(SpikingDynamicsError, match="bool tensor"):
        network()(**samples(), modality_mask={"audio": [True] * 6})


@torch.no_grad()
def test_missing_samples_are_as_if_they_were_not():
    net, given = network(), samples()
    net.train()(**given)
    net.eval()
    mask = {"audio": torch.tensor([1, 0, 1, 0, 1, 1]).bool()}
    spoiled = {**given, "audio": given["audio"].clone()}
    spoiled["audio"][[1, 3]] = torch.nan
    outputs = net(**spoiled, modality_mask=mask)
    torch.testing.assert_close(outputs[[1, 3]], net(vision=given["vision"][[1, 3]]))
    heard = {name: x[mask["audio"]] for name, x in given.items()}
    torch.testing.assert_close(outputs[mask["audio"]], net(**heard))
    nobody = {"audio": torch.zeros(6, dtype=torch.bool)}
    assert torch.equal(net(**spoiled, modality_mask=nobody), net(vision=given["vision"]))
    # Nor do they reach the statistics of training.
    net.train()(**spoiled, modality_mask=mask)
    assert all(torch.isfinite(buffer).all() for buffer in net.buffers())


def test_modalities_can_be_chosen():
    net = network(modalities=["audio"])
    assert list(net.encoders) == ["audio"]
    assert net(audio=samples()["audio"]).shape == (6, 2, 4)
    with pytest.raises(ArgumentError, match="vision"):
        net(**samples())


@pytest.mark.parametrize("wrong", [["smell"], [], ["audio", "audio"]])
def test_wrong_modalities(wrong):
    with pytest.raises(ArgumentError, match="modalities"):
        network(modalities=wrong)


def test_other_timesteps_are_refused():
    encoders = {"vision": VisionSpikeEncoder(8, 3)}
    with pytest.raises(ArgumentError, match="timesteps=4"):
        MultiModalNetwork(encoders, FusionConfig(shared_dim=8, timesteps=4), 2)


@pytest.mark.parametrize("fusion_type", ["cross_attention", "concat", "gated", "late"])
@pytest.mark.parametrize("modalities", [None, ["audio"]])
def test_a_saved_network_comes_back(fusion_type, modalities, tmp_path):
    net = network(fusion_type, modalities)
    given = {name: x for name, x in samples().items() if name in net.encoders}
    with torch.no_grad():
        net.train()(**given)
        net.eval()
        net.trained_on = TrainedOn({"_target_": "spikeformer.data.DigitsDataModule"})
        again = MultiModalNetwork.from_pretrained(net.save_pretrained(tmp_path))
        assert torch.equal(again(**given), net(**given))
    assert list(again.encoders) == list(net.encoders)
    assert again.trained_on == net.trained_on
    assert not again.training
    assert "MultiModalNetwork" in (tmp_path / "README.md").read_text()


def test_text_is_saved_too(tmp_path):
    fusion = FusionConfig(shared_dim=8, num_heads=2, timesteps=2)
    encoders = {"text": TextSpikeEncoder(16, 8, 2, max_length=5, norm="layer", neuron=soft)}
    net = MultiModalNetwork(encoders, fusion, 3, num_layers=1, neuron=soft).eval()
    again = MultiModalNetwork.from_pretrained(net.save_pretrained(tmp_path))
    ids = torch.randint(16, (4, 5))
    assert torch.equal(again(text=ids), net(text=ids))


def test_a_network_that_was_changed_or_is_another_is_not_taken(tmp_path):
    net = network()
    folder = net.save_pretrained(tmp_path / "net")
    net.encoders["vision"].neuron.threshold = 0.25
    with pytest.raises(ConfigurationError, match=r"`threshold` of layer 'encoders\.vision"):
        net.save_pretrained(tmp_path / "other")
    with pytest.raises(ConfigurationError, match="SpikingNetwork"):
        SpikingNetwork.from_pretrained(folder)


@pytest.mark.parametrize("fusion_type", ["cross_attention", "concat"])
def test_an_integer_network_is_its_unit_spikes(fusion_type):
    integer = partial(IntegerLifNeuron, max_spikes=2)
    encoders = {
        "vision": VisionSpikeEncoder(8, 2, in_channels=1, strides=[2], neuron=integer),
        "audio": AudioSpikeEncoder(16, 2, num_mels=16, neuron=integer),
        "text": TextSpikeEncoder(16, 8, 2, max_length=5, norm="layer", neuron=integer),
    }
    fusion = FusionConfig(fusion_type, shared_dim=8, num_heads=2, timesteps=2, dropout=0.0)
    net = MultiModalNetwork(encoders, fusion, 4, num_layers=1, neuron=integer)
    given = {**samples(), "text": torch.randint(16, (6, 5))}
    with torch.no_grad():
        net.train()(**given)
        net.eval()
        steps = unrolled(net)(**given)
        assert net(**given).std() > 0
        torch.testing.assert_close(steps.unflatten(1, (2, 2)).mean(2), net(**given))


@pytest.mark.parametrize(
    ("fusion_type", "named"), [("late", "MultiModalSpikeTransformer"), ("gated", "GatedFusion")]
)
def test_what_is_not_linear_is_named_when_unrolled(fusion_type, named):
    with pytest.raises(ArgumentError, match=named):
        unrolled(network(fusion_type, neuron=IntegerLifNeuron))
