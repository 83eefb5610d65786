from __future__ import annotations

from functools import partial

import pytest
import torch

from spikeformer.error_handling import ArgumentError, SpikingDynamicsError
from spikeformer.fusion import FusionConfig
from spikeformer.multimodal import AudioSpikeEncoder, MultiModalNetwork, VisionSpikeEncoder
from spikeformer.neurons import LifNeuron

soft = partial(LifNeuron, tau_mem=2.0, surrogate_type="atan")


def network(fusion_type="cross_attention", modalities=None, **others):
    encoders = {
        "vision": VisionSpikeEncoder(8, 2, in_channels=1, strides=[2], neuron=soft),
        "audio": AudioSpikeEncoder(16, 2, num_mels=16, neuron=soft),
    }
    fusion = FusionConfig(fusion_type, shared_dim=8, num_heads=2, timesteps=2, dropout=0.0)
    settings = {"num_layers": 1, "neuron": soft, "modalities": modalities, **others}
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
