from __future__ import annotations

import json
from functools import partial
from importlib import import_module

import pytest
import torch

from spikeformer.data import Preparation
from spikeformer.error_handling import ConfigurationError
from spikeformer.models import (
    ClassificationHead,
    QKTokenAttention,
    SpikeDrivenAttention,
    SpikingAttention,
    SpikingNetwork,
    SpikingSelfAttention,
    SpikingTransformer,
    SpikingViT,
)
from spikeformer.models.network import TrainedOn
from spikeformer.neurons import LifNeuron
from tests.models.test_spiking_transformer import ids, transformer
from tests.models.test_spiking_vit import vit


def test_chains_backbone_and_head():
    network = SpikingNetwork(vit(), ClassificationHead(8, 5)).eval()
    images = torch.rand(2, 2, 6, 8)
    assert torch.equal(network(images), network.head(network.backbone(images)))


def test_hands_the_mask_to_both():
    network = SpikingNetwork(transformer(), ClassificationHead(8, 5)).eval()
    tokens, mask = ids(2, 6), torch.arange(6) < torch.tensor([[6], [3]])
    expected = network.head(network.backbone(tokens, mask), mask)
    assert torch.equal(network(input_ids=tokens, mask=mask), expected)
    assert torch.equal(network(tokens, mask=mask), expected)
    # Neither alone would do.
    assert not torch.equal(network.head(network.backbone(tokens, mask)), expected)


def model_and_grads(network, *inputs):
    network.zero_grad()
    torch.manual_seed(1)
    out = network(*inputs)
    out.square().sum().backward()
    return out.detach(), {n: p.grad.clone() for n, p in network.named_parameters()}


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiling_in_place_changes_nothing(backend):
    # No dropout: inductor draws its own random numbers.
    attention = partial(SpikingAttention, dropout=0.0)
    backbone = SpikingTransformer(11, 8, 2, 1, 2, 0.5, dropout=0.0, attention=attention)
    network = SpikingNetwork(backbone, ClassificationHead(8, 3))
    names, tokens = list(network.state_dict()), ids(2, 4)
    expected, expected_grads = model_and_grads(network, tokens)
    network.compile(backend=backend)
    out, grads = model_and_grads(network, tokens)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(grads, expected_grads, rtol=1e-3, atol=1e-4)
    assert list(network.state_dict()) == names


def test_the_reference_backend_runs_no_kernel(monkeypatch):
    imported = []

    def listen(module):
        imported.append(module)
        return import_module(module)

    # What `load_kernels` imports.
    monkeypatch.setattr("spikeformer.ops.dispatch.import_module", listen)

    def kernels_of(backend, attention):
        imported.clear()
        backbone = SpikingViT(
            image_size=8,
            d_model=16,
            nhead=2,
            num_layers=1,
            timesteps=2,
            neuron=partial(LifNeuron, backend=backend),
            attention=partial(SpikingAttention, mechanism=attention),
        )
        backbone(torch.rand(2, 3, 8, 8)).sum().backward()
        assert all(p.grad is not None for p in backbone.parameters())
        return set(imported)

    for attention in (QKTokenAttention, SpikeDrivenAttention, SpikingSelfAttention):
        assert kernels_of("reference", attention) == set()
    assert "spikeformer.ops.norm_lif.cpu" in kernels_of("cpu", QKTokenAttention)


def saved(tmp_path):
    network = SpikingNetwork(vit(), ClassificationHead(8, 5)).eval()
    settings = {"_target_": "spikeformer.data.DigitsDataModule", "batch_size": 7}
    network.trained_on = TrainedOn(settings, Preparation([str(i) for i in range(10)]))
    return network, network.save_pretrained(tmp_path / "net")


def test_a_saved_network_comes_back_with_its_data(tmp_path):
    network, folder = saved(tmp_path)
    again = SpikingNetwork.from_pretrained(folder)
    images = torch.rand(2, 2, 6, 8)
    assert torch.equal(again(images), network(images))
    assert again.trained_on == network.trained_on
    assert again.trained_on.data(batch_size=3).batch_size == 3
    assert not again.training


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda net: setattr(net.head, "dropout", torch.nn.Identity()),
            r"'head.dropout' has become Identity where that makes Dropout",
        ),
        (
            lambda net: setattr(net.backbone.blocks.neuron, "threshold", 0.25),
            r"`threshold` of layer 'backbone.blocks.neuron' has become 0.25",
        ),
        (lambda net: net.backbone.add_module("more", torch.nn.ReLU()), "backbone.more"),
    ],
)
def test_a_network_that_was_changed_is_not_saved(tmp_path, change, message):
    network, _ = saved(tmp_path)
    change(network)
    with pytest.raises(ConfigurationError, match=message):
        network.save_pretrained(tmp_path / "other")


def edited(folder, edit):
    path = folder / "config.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.update(format=9), "format 9"),
        (lambda c: c.pop("network"), r"config\.json"),
        (lambda c: c["network"].update(_target_="torch.load"), "may not create"),
        (lambda c: c["network"]["head"].update(_target_="os.system"), "not trusted"),
        (lambda c: c["network"].update(_target_="torch.nn.Identity"), "SpikingNetwork"),
        (lambda c: c["network"]["head"].update(num_classes=10**9), "of another shape: head"),
        (lambda c: c["network"]["backbone"].update(num_layers=3), r"absent: backbone\.blocks"),
        (lambda c: c["network"]["backbone"].update(threshold="${oc.env:HOME}"), "threshold"),
    ],
)
def test_files_of_a_stranger_are_refused(tmp_path, edit, message):
    _, folder = saved(tmp_path)
    edited(folder, edit)
    with pytest.raises(ConfigurationError, match=message) as caught:
        SpikingNetwork.from_pretrained(folder)
    assert "/root" not in str(caught.value)


def test_a_folder_without_weights(tmp_path):
    _, folder = saved(tmp_path)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigurationError, match=r"has no model\.safetensors"):
        SpikingNetwork.from_pretrained(folder)
    with pytest.raises(ConfigurationError, match="no folder that"):
        SpikingNetwork.from_pretrained(tmp_path)


def test_damaged_weights(tmp_path):
    _, folder = saved(tmp_path)
    (folder / "model.safetensors").write_bytes(b"\0" * 20)
    with pytest.raises(ConfigurationError, match="holds no network"):
        SpikingNetwork.from_pretrained(folder)
