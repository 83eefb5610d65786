from __future__ import annotations

from functools import partial
from importlib import import_module

import pytest
import torch

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
